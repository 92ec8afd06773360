import subprocess
import sys


def test_a_stage_starts_without_the_command_line():
    code = (
        "import sys\nfrom cll.__main__ import main\nsys.argv = ['cll', 'stage', 'none']\n"
        "try:\n    main()\nexcept SystemExit:\n    print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = set(done.stdout.split())
    assert "cll.pipeline.stages" in modules
    assert modules.isdisjoint({"typer", "cll.cli"})
