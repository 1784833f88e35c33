"""Shell completion, in the real shells: the program's own script is loaded, and then asked as the shell asks it."""

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.command_line import PROGRAM, environment
from tests.conftest import missing_part

# Loads the script, and prints what the shell offers for `{words}`.
BASH = """\
eval "$(env _XCLIP_STREAM_COMPLETE=source_bash xclip-stream)"
complete -p xclip-stream > /dev/null || exit 1
COMP_WORDS=({words}); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
_xclip_stream_completion xclip-stream
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
FISH = """\
env _XCLIP_STREAM_COMPLETE=source_fish xclip-stream | source
complete --do-complete "{words}"
"""
# The function that zsh calls while a line is edited cannot be called outside of one: `_describe` prints instead.
ZSH = """\
autoload -U compinit; compinit -D -u
eval "$(env _XCLIP_STREAM_COMPLETE=source_zsh xclip-stream)"
[[ ${{_comps[xclip-stream]}} == _xclip_stream_completion ]] || exit 1
_arguments() {{ print -r -- "$@" }}
_describe() {{ print -r -- "$@" }}
words=({words}); CURRENT=${{#words}}
_xclip_stream_completion
"""
SHELLS = {
    "bash": (["bash", "--norc", "-c"], BASH),
    "fish": (["fish", "-N", "-c"], FISH),
    "zsh": (["zsh", "-f", "-c"], ZSH),
}


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("xclip-stream pro", ["probe"]),
        ("xclip-stream dead-letters re", ["replay"]),
        ("xclip-stream worker sc", ["score"]),
        ("xclip-stream init --secrets i", ["inline"]),
        ("xclip-stream probe --snap", ["--snapshot"]),
    ],
)
@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_completes_commands_options_and_what_they_may_be(
    shell: str, words: str, offered: list[str], tmp_path: Path
) -> None:
    if shutil.which(shell) is None:
        missing_part(shell, f"apt-get install {shell}")
    program = tmp_path / "bin" / "xclip-stream"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.join(PROGRAM)} "$@"\n')
    program.chmod(0o755)
    command, script = SHELLS[shell]
    variables = environment(tmp_path)

    done = subprocess.run(
        [*command, script.format(words=words)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**variables, "HOME": str(tmp_path), "PATH": f"{program.parent}:{variables['PATH']}"},
    )

    assert done.returncode == 0, done.stderr
    for word in offered:
        assert word in done.stdout.replace("'", " ").replace('"', " ").replace(":", " ").split()
    assert "watch" not in done.stdout.split()
