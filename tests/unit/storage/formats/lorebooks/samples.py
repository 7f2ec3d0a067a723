"""Files as other programs write them, made after their public documentation."""

import base64
import itertools
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from storyloom.memory.lorebook import Lorebook
from storyloom.storage.formats.lorebooks import read_lorebook
from storyloom.storage.formats.lorebooks.png import SIGNATURE


def world_entry(**changes: Any) -> dict[str, Any]:
    """An entry of world info with every field that SillyTavern writes."""
    return {
        "uid": 0,
        "key": ["Vesna", "/\\bmarsh(es)?\\b/i"],
        "keysecondary": ["lantern"],
        "comment": "Vesna of the marsh",
        "content": "Vesna tends the lanterns. <b>{{user}}</b> owes her {{ 7 * 7 }}.",
        "constant": False,
        "vectorized": False,
        "selective": True,
        "selectiveLogic": 0,
        "addMemo": True,
        "order": 100,
        "position": 0,
        "disable": False,
        "ignoreBudget": False,
        "excludeRecursion": False,
        "preventRecursion": False,
        "matchPersonaDescription": False,
        "matchCharacterDescription": False,
        "matchCharacterPersonality": False,
        "matchCharacterDepthPrompt": False,
        "matchScenario": False,
        "matchCreatorNotes": False,
        "delayUntilRecursion": 0,
        "probability": 100,
        "useProbability": True,
        "depth": 4,
        "outletName": "",
        "group": "",
        "groupOverride": False,
        "groupWeight": 100,
        "scanDepth": None,
        "caseSensitive": None,
        "matchWholeWords": None,
        "useGroupScoring": None,
        "automationId": "",
        "role": 0,
        "sticky": None,
        "cooldown": None,
        "delay": None,
        "triggers": [],
        "displayIndex": 0,
        "characterFilter": {"isExclude": False, "names": [], "tags": []},
        **changes,
    }


def world_info() -> dict[str, Any]:
    """A world info file whose entries use every field."""
    rich = world_entry(
        uid=5,
        vectorized=True,
        constant=True,
        selectiveLogic=3,
        order=-20,
        position=4,
        disable=True,
        ignoreBudget=True,
        excludeRecursion=True,
        preventRecursion=True,
        matchPersonaDescription=True,
        matchCharacterDescription=True,
        matchCharacterPersonality=True,
        matchCharacterDepthPrompt=True,
        matchScenario=True,
        matchCreatorNotes=True,
        delayUntilRecursion=2,
        probability=37.5,
        depth=0,
        group="weather, omens",
        groupOverride=True,
        groupWeight=7,
        scanDepth=9,
        caseSensitive=True,
        matchWholeWords=False,
        useGroupScoring=True,
        automationId="ring-the-bell",
        role=2,
        sticky=3,
        cooldown=4,
        delay=5,
        triggers=["normal", "continue"],
        displayIndex=1,
        characterFilter={"isExclude": True, "names": ["Vesna"], "tags": ["tag-3"]},
    )
    ignored = world_entry(
        uid=6, selective=False, useProbability=False, probability=20, position=7, outletName="x"
    )
    return {
        "name": "The marsh",
        "description": "What everybody there knows.",
        "scan_depth": 3,
        "token_budget": 500,
        "recursive_scanning": False,
        "extensions": {"some_tool": {"colour": "green"}},
        "entries": {"0": world_entry(), "5": rich, "6": ignored},
    }


def book_entry(**changes: Any) -> dict[str, Any]:
    """An entry of a card's book as SillyTavern writes it."""
    return {
        "id": 1,
        "keys": ["pier"],
        "secondary_keys": ["night"],
        "comment": "The pier",
        "content": "The pier creaks.",
        "constant": False,
        "selective": True,
        "insertion_order": 90,
        "enabled": True,
        "position": "after_char",
        "use_regex": True,
        "extensions": {
            "position": 4,
            "exclude_recursion": True,
            "display_index": 1,
            "probability": 80,
            "useProbability": True,
            "depth": 2,
            "selectiveLogic": 2,
            "outlet_name": "",
            "group": "places",
            "group_override": False,
            "group_weight": 100,
            "prevent_recursion": False,
            "delay_until_recursion": False,
            "scan_depth": None,
            "match_whole_words": None,
            "use_group_scoring": False,
            "case_sensitive": None,
            "automation_id": "",
            "role": 1,
            "vectorized": False,
            "sticky": 2,
            "cooldown": 0,
            "delay": 0,
            "match_scenario": True,
            "triggers": [],
            "ignore_budget": False,
            "my_tool/mood": "grim",
        },
        **changes,
    }


def card_v2() -> dict[str, Any]:
    """A V2 card with a book, of which one entry has only the specification's fields."""
    plain = {
        "keys": ["tide"],
        "content": "The tide comes twice.",
        "extensions": {},
        "enabled": False,
        "insertion_order": 10,
        "case_sensitive": True,
        "name": "Tide",
        "priority": 10,
        "selective": False,
        "secondary_keys": ["never"],
        "constant": True,
        "position": "before_char",
    }
    return {
        "spec": "chara_card_v2",
        "spec_version": "2.0",
        "name": "Ilse",
        "description": "Ilse, keeper of the light.",
        "create_date": "2024-02-29",
        "data": {
            "name": "Ilse",
            "description": "Ilse, keeper of the light.",
            "personality": "Patient.",
            "scenario": "A storm is near.",
            "first_mes": "“You are late,” says Ilse.",
            "mes_example": "<START>\n{{user}}: Hello\n{{char}}: Hm.",
            "creator_notes": "Slow burn.",
            "system_prompt": "Write as {{char}}.",
            "post_history_instructions": "Stay brief.",
            "alternate_greetings": ["Rain.", "Fog."],
            "tags": ["sea", "slow"],
            "creator": "somebody",
            "character_version": "1.2",
            "extensions": {"talkativeness": "0.5", "depth_prompt": {"prompt": "Cold.", "depth": 4}},
            "character_book": {
                "name": "Ilse's book",
                "scan_depth": 6,
                "token_budget": 300,
                "recursive_scanning": True,
                "extensions": {"a": 1},
                "entries": [book_entry(), plain],
            },
        },
    }


def card_v3() -> dict[str, Any]:
    """A V3 card with the fields that V2 lacks, decorators among them."""
    card = card_v2()
    card |= {"spec": "chara_card_v3", "spec_version": "3.0"}
    card["data"] |= {
        "nickname": "Il",
        "group_only_greetings": ["All of you?"],
        "creation_date": 1709200000,
        "source": ["https://example.org/ilse"],
        "assets": [{"type": "icon", "uri": "ccdefault:", "name": "main", "ext": "png"}],
    }
    decorated = (
        "@@depth 3\n@@role user\n@@is_greeting 1\n@@unknown_one 4\n@@@activate_only_after 6\n\nGulls cry."
    )
    card["data"]["character_book"]["entries"].append(
        {
            "keys": ["gull(s|)", "ba/r"],
            "content": decorated,
            "extensions": {},
            "enabled": True,
            "insertion_order": 5,
            "use_regex": True,
        }
    )
    return card


def novelai_entry(**changes: Any) -> dict[str, Any]:
    """An entry of a NovelAI lorebook."""
    return {
        "text": "Orla is a ferryman.",
        "contextConfig": {
            "prefix": "[ ",
            "suffix": " ]\n",
            "tokenBudget": 0.5,
            "reservedTokens": 0,
            "budgetPriority": 400,
            "trimDirection": "trimBottom",
            "insertionType": "newline",
            "maximumTrimType": "sentence",
            "insertionPosition": -1,
        },
        "lastUpdatedAt": 1702478809363,
        "displayName": "Orla",
        "id": "e9dee567-b2b2-499e-81d2-621a1657f379",
        "keys": ["Orla", "/ferr(y|ies)/i"],
        "searchRange": 1000,
        "enabled": True,
        "forceActivation": False,
        "keyRelative": False,
        "nonStoryActivatable": False,
        "category": "",
        "loreBiasGroups": [{"phrases": [], "bias": 0, "enabled": True}],
        **changes,
    }


def novelai() -> dict[str, Any]:
    """A NovelAI lorebook with a disabled category and an entry that stands in the story."""
    into = {"budgetPriority": -200, "insertionType": "newline", "insertionPosition": -4}
    return {
        "lorebookVersion": 5,
        "entries": [
            novelai_entry(),
            novelai_entry(id="b", displayName="Bell", contextConfig=into, forceActivation=True),
            novelai_entry(id="c", displayName="Crab", category="cat-1", nonStoryActivatable=True),
        ],
        "settings": {"orderByKeyLocations": True},
        "categories": [{"name": "Animals", "id": "cat-1", "enabled": False}],
        "order": ["b", "cat-1"],
    }


def kobold() -> dict[str, Any]:
    """A save of KoboldAI Lite."""
    entry = {
        "key": "mill, /wheel,s?/i",
        "keysecondary": "water",
        "keyanti": "",
        "content": "The mill stands still.",
        "comment": "Mill",
        "folder": None,
        "selective": True,
        "constant": False,
        "probability": "60",
        "wigroup": "Places",
        "widisabled": False,
    }
    return {
        "gamestarted": True,
        "prompt": "Once",
        "memory": "A valley.",
        "authorsnote": "Dry humour.",
        "anotetemplate": "[Author's note: <|>]",
        "actions": [],
        "worldinfo": [
            entry,
            {**entry, "selective": False, "keyanti": "dream", "widisabled": True},
            {"key": "", "keysecondary": "", "content": "", "init": False, "constant": False},
        ],
        "wifolders_d": {},
        "wifolders_l": [],
    }


def chunk(kind: bytes, data: bytes, checksum: int | None = None) -> bytes:
    """A PNG chunk."""
    crc = zlib.crc32(kind + data) if checksum is None else checksum
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)


def png(*chunks: bytes) -> bytes:
    """A small picture with chunks in it."""
    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b"\0\0"))
    return SIGNATURE + chunk(b"IHDR", header) + b"".join(chunks) + pixels + chunk(b"IEND", b"")


def packed(card: Any) -> bytes:
    """A card as a text chunk holds it."""
    return base64.b64encode(json.dumps(card).encode())


def ids() -> Callable[[], str]:
    """A maker of ids that are the same in every run."""
    numbers = itertools.count(1)
    return lambda: f"id{next(numbers)}"


def read(folder: Path, content: Any) -> Lorebook:
    """What is read from a file with these bytes, or with this as JSON."""
    file = folder / "file"
    file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return read_lorebook(file, ids())
