"""Installs one Python package into /app/venv, and makes /app/entry of its program. Runs while the image is built.

Arguments, as JSON: name, version, entry, index, scripts.
"""
import json
import os
import subprocess
import sys

told = json.loads(sys.argv[1])
python = "/app/venv/bin/python"
pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check", "--no-input", "install"]
pip += ["--no-cache-dir", "--progress-bar=off"]
if not told["scripts"]:
    pip.append("--only-binary=:all:")
if told["index"]:
    pip.append("--index-url=" + told["index"])
pip.append(told["name"] + ("==" + told["version"] if told["version"] else ""))
subprocess.run([sys.executable, "-m", "venv", "--without-pip", "/app/venv"], check=True)
if subprocess.run(pip).returncode:
    sys.exit("pip failed")

# Asked inside, where the package is.
ask = """
import importlib.metadata, json, sys
package = importlib.metadata.distribution(sys.argv[1])
programs = [found.name for found in package.entry_points if found.group == "console_scripts"]
print(json.dumps([package.version, programs]))
"""
bare = told["name"].split("[")[0]
answer = subprocess.run([python, "-c", ask, bare], check=True, stdout=subprocess.PIPE).stdout
version, programs = json.loads(answer)
alike = [program for program in programs if program.lower().replace("_", "-") == bare.lower().replace("_", "-")]
entry = told["entry"] or (alike or programs or [None])[0]
if entry not in programs or not (told["entry"] or alike or len(programs) == 1):
    sys.exit("say which program to run with `entry`; it has " + (", ".join(programs) or "none"))
os.symlink("/app/venv/bin/" + entry, "/app/entry")
print("safeconduct-built " + json.dumps({"version": version, "entry": entry}))
