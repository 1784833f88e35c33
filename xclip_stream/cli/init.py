"""`xclip-stream init`: from a camera to a configuration, by questions or by options."""

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from xclip_stream.cli.frigate import read_frigate
from xclip_stream.cli.new_site import NewCamera, Secrets, named_cameras, without_secrets
from xclip_stream.cli.questions import Questions
from xclip_stream.cli.site_files import check_text, may_write, missing_variables, write_secrets, write_site
from xclip_stream.cli.site_yaml import NewSite, site_text
from xclip_stream.cli.try_camera import tested
from xclip_stream.device_url import is_device_path
from xclip_stream.errors import ConfigError
from xclip_stream.exits import DONE, FAILED
from xclip_stream.paths import without_tilde


class SecretsPlace(StrEnum):
    """Where passwords go."""

    FILE = "file"
    ENV = "env"
    INLINE = "inline"


def init(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The configuration to write.")] = Path("site.yaml"),
    *,
    url: Annotated[
        list[str] | None, typer.Option("--url", "-u", metavar="SOURCE", help="A camera, file or device; repeatable.")
    ] = None,
    name: Annotated[
        list[str] | None, typer.Option("--name", "-n", metavar="ID", help="The id of each --url, in their order.")
    ] = None,
    prompt: Annotated[
        list[str] | None, typer.Option("--prompt", "-p", metavar="TEXT", help="What to look for; repeatable.")
    ] = None,
    background: Annotated[
        list[str] | None,
        typer.Option("--background", "-b", metavar="PROMPT", help="What is ordinary there, also group:street, …"),
    ] = None,
    from_frigate: Annotated[
        Path | None, typer.Option("--from-frigate", metavar="CONFIG", help="Take the cameras of this Frigate config.")
    ] = None,
    secrets: Annotated[
        SecretsPlace, typer.Option(help="Passwords: files beside it, environment variables, or in it.")
    ] = SecretsPlace.FILE,
    checkpoint: Annotated[str | None, typer.Option(help="The model: `demo`, a folder or a hub id.")] = None,
    test: Annotated[bool, typer.Option(help="Open each camera, and show its picture.")] = True,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite FILE.")] = False,
) -> None:
    """Write a configuration for your cameras: asks for them, tests them, and asks what to look for.

    What is given as an option is not asked. No password gets into the file unless --secrets inline says so. Exit code 1
    when a camera could not be read; the file is written all the same.

    [bold]Examples[/bold]

      xclip-stream init
      xclip-stream init yard.yaml -u rtsp://me:secret@10.0.0.5/s1 -p "a fight" -y
      xclip-stream init --from-frigate config.yml -p "a fight" --secrets env
    """
    questions = Questions(silent=yes)
    may_write(file, force=force, questions=questions)
    cameras = _cameras(file, url or [], name or [], from_frigate, questions)
    if not prompt:
        questions.may_ask("what shall it look for? give --prompt")
    outcomes = [tested(camera, questions) for camera in cameras] if test else [(camera, True) for camera in cameras]
    place = None if background else questions.place()
    site = NewSite(
        cameras=[camera for camera, _ in outcomes],
        prompts=prompt or questions.prompts(place),
        background=background or [f"group:{place}"],
        checkpoint=checkpoint,
    )
    _write(file, site, secrets)
    raise typer.Exit(DONE if all(works for _, works in outcomes) else FAILED)


def _cameras(
    file: Path, urls: list[str], names: list[str], from_frigate: Path | None, questions: Questions
) -> list[NewCamera]:
    if from_frigate is None:
        if not urls:
            urls, names = questions.cameras()
        return named_cameras([_from_folder(url, file.parent) for url in urls], names)
    if urls:
        raise ConfigError("--from-frigate brings its cameras: leave --url out")
    try:
        found = read_frigate(from_frigate.read_text(), name=str(from_frigate))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{from_frigate}: cannot be read: {getattr(error, 'strerror', 'is no text')}") from None
    for remark in found.remarks:
        typer.echo(f"note: {remark}")
    return list(found.cameras)


def _from_folder(url: str, folder: Path) -> str:
    """Return a source as the configuration names it: its paths begin at its own folder, not at ours."""
    if "://" in url or is_device_path(url):
        return url
    try:
        path = without_tilde(url)
    except ValueError as error:
        raise ConfigError(f"{url}: {error}") from None
    is_same = path.is_absolute() or folder.resolve() == Path.cwd()
    return str(path if is_same else path.absolute())


def _write(file: Path, site: NewSite, place: SecretsPlace) -> None:
    secrets = Secrets()
    text = _text(file, site, secrets, place)
    variables = {name: secret for secret, name in secrets.names.items()}
    if place is SecretsPlace.FILE:
        check_text(_text(file, site, secrets, SecretsPlace.ENV), file, variables)  # before anything is written
        write_secrets(file.parent, variables, anew=file.exists())
        unset = missing_variables(text, known=())
    else:
        check_text(text, file, variables)
        unset = [*variables, *missing_variables(text, known=variables)]
    write_site(text, file, private=place is SecretsPlace.INLINE)
    typer.echo(f"wrote {file}: {_counted(len(site.cameras), 'source')}, {_counted(len(site.prompts), 'rule')}")
    if variables and place is SecretsPlace.FILE:
        typer.echo(f"passwords are in {file.parent / 'secrets'}, for you alone")
    if unset:
        typer.echo("set before you start it, with the passwords as they stand in the URLs:")
        for name in unset:
            typer.echo(f"  export {name}=…")
    typer.echo(f"then:\n  xclip-stream check {file}\n  xclip-stream run {file}")


def _text(file: Path, site: NewSite, secrets: Secrets, place: SecretsPlace) -> str:
    """Return the configuration with its passwords where they shall be; those that it does without go to `secrets`."""
    if place is not SecretsPlace.INLINE:
        from_file = place is SecretsPlace.FILE
        hidden = [without_secrets(camera, secrets, from_file=from_file) for camera in site.cameras]
        site = replace(site, cameras=hidden)
    return site_text(site, name=str(file))


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
