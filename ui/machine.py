"""``models``, ``doctor`` and ``ui``: what this machine has."""

from collections.abc import Sequence
from pathlib import Path

import typer

from storyloom.app import conversions, weights
from storyloom.app.offline import stay_offline
from storyloom.app.settings import load_settings
from storyloom.ui import given, output
from storyloom.ui.boundary import PROBLEM
from storyloom.ui.fetching import fetch, fetch_missing


def list_models(*, as_json: bool) -> None:
    """The models in the data folder, and those that can be fetched."""
    found = weights.listed(load_settings())
    if as_json:
        output.emit(
            {
                "models": [
                    {
                        "name": one.name,
                        "spec": one.spec,
                        "present": one.present,
                        "bytes": one.size,
                        "path": str(one.path),
                    }
                    for one in found
                ]
            }
        )
        return
    for one in found:
        state = f"{one.size / 1e6:.0f} MB in {one.path}" if one.present else "not here; storyloom models pull"
        output.say(f"{one.spec}  {state}")


def pull(name: str, *, as_json: bool) -> None:
    """Fetch a model's weights."""
    path = fetch(load_settings(), given.spoken(name, "name"))
    if as_json:
        output.emit({"name": name, "path": str(path), "bytes": path.stat().st_size})
    else:
        output.say(str(path))


def convert(
    source: str,
    family: str,
    folder: Path,
    assignments: Sequence[str],
    seed: int,
    rope: str | None,
    *,
    as_json: bool,
) -> None:
    """Make a long-context model, and say how to write with it."""
    settings = load_settings()
    stay_offline([source])
    fetch_missing(settings, [source])
    made = conversions.convert(
        settings, source, family, folder, assignments=assignments, seed=seed, rope=rope
    )
    spec = f"hf:{made.folder}"
    if as_json:
        output.emit(
            {
                "spec": spec,
                "family": made.family,
                "layers": list(made.layers),
                "window": made.window,
                "parameters": made.parameters,
                "new_parameters": made.new,
            }
        )
        return
    output.say(
        f"{spec}: {made.family} in layers {', '.join(map(str, made.layers))}, {made.parameters:,} weights, "
        f"{made.new:,} of them new. Until it is trained it writes as {source} does."
    )


def doctor(*, as_json: bool) -> None:
    """Look at everything that Storyloom stands on; exit with 1 when something needed is broken."""
    from storyloom.app.doctor import examine

    findings = examine(load_settings())
    well = all(finding.state != "broken" for finding in findings)
    if as_json:
        checks = [{"name": one.name, "state": one.state, "text": one.text} for one in findings]
        output.emit({"ok": well, "checks": checks})
    else:
        for one in findings:
            output.say(f"{one.state:<8} {one.name:<14} {one.text}")
    if not well:
        raise typer.Exit(PROBLEM)


def serve_page(host: str, port: int, auth_file: Path | None) -> None:
    """Serve the studio until it is stopped."""
    settings = load_settings()
    stay_offline([settings.model, *settings.models.values()])
    from storyloom.ui.serve import serve

    serve(settings, host, port, auth_file)
