"""LangChain's own standard tests, held against our engines as chat models."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from storyloom.generators.langchain import StoryloomChatModel
from storyloom.generators.scripted import ScriptedModel

JOKE = {"match": "joke", "replies": ['{"setup": "Why?", "punchline": "So."}']}
SCRIPT = {"rules": [JOKE], "default": ["The lamp burns on."]}
PARAMS: dict[str, Any] = {}


@pytest.fixture(scope="module", autouse=True)
def scripted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    path = tmp_path_factory.mktemp("script") / "replies.json"
    path.write_text(json.dumps(SCRIPT))
    PARAMS["text_model"] = ScriptedModel(path)
    yield
    PARAMS.clear()


class Standard:
    """What both standard suites ask about the chat model."""

    has_tool_calling = False
    has_tool_choice = False
    has_structured_output = True
    returns_usage_metadata = True
    supports_model_override = False

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return StoryloomChatModel

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return PARAMS


class TestUnit(Standard, ChatModelUnitTests):
    """Made, bound and described as LangChain expects."""


# The suite's asynchronous tests need the mark, and can't be overridden to get it one by one.
@pytest.mark.asyncio
@pytest.mark.filterwarnings("ignore:.*is marked with '@pytest.mark.asyncio' but:pytest.PytestWarning")
class TestIntegration(Standard, ChatModelIntegrationTests):
    """Invoked, streamed and batched as LangChain expects."""
