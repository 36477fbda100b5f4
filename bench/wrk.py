"""Load at saturation, with wrk: as many requests as are answered, over kept connections."""

import json
import subprocess
from dataclasses import dataclass
from typing import Final

from peer import KEY_HEADER, Load, Stand
from process import PeerFailedError

CONNECTIONS: Final = 32

DONE: Final = """
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('\\n{"requests":%d,"us":%d,"refused":%d,"failed":%d}\\n',
    summary.requests, summary.duration, e.status, e.connect + e.read + e.write + e.timeout))
end
"""

ONE: Final = """
wrk.method = "{method}"
wrk.path = "{path}"
wrk.headers["{header}"] = "{key}"
{body}
"""

MANY: Final = """
local paths = {{ {paths} }}
local keys = {{ {keys} }}
local asked, next = {{}}, 0
function init(args)
  for n = 1, math.max(#paths, #keys) do
    local headers = {{ ["{header}"] = keys[(n - 1) % #keys + 1] }}
    asked[n] = wrk.format("{method}", paths[(n - 1) % #paths + 1], headers)
  end
end
function request()
  next = next % #asked + 1
  return asked[next]
end
"""


@dataclass(frozen=True, slots=True)
class Counted:
    """What wrk counted: answers, and among them those of 400 and above; `failed` got no answer."""

    requests: int
    seconds: float
    refused: int
    failed: int


def saturate(stand: Stand, seconds: int, core: int) -> Counted:
    """Ask as fast as answers come, from one core. Raises PeerFailedError if they are not as they must be."""
    load, bed = stand.load, stand.bed
    script = bed.write("load.lua", _script(load) + DONE)
    argv = ["setpriv", "--pdeathsig", "TERM", "taskset", "-c", str(core), str(bed.tools["wrk"])]
    argv += ["-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(script), f"http://127.0.0.1:{bed.port}/"]
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=seconds + 30, check=False)
    try:
        told = json.loads(ended.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        raise PeerFailedError(f"wrk ended with {ended.returncode}: {ended.stderr.strip()[-300:]}") from None
    counted = Counted(told["requests"], told["us"] / 1e6, told["refused"], told["failed"])
    as_expected = counted.requests if load.refused else 0
    if not counted.requests or counted.failed or counted.refused != as_expected:
        raise PeerFailedError(f"answers are not as they must be under load: {counted}")
    return counted


def _script(load: Load) -> str:
    if load.always_the_same:
        body = f'wrk.body = string.rep("x", {load.body_bytes})' if load.body_bytes else ""
        return ONE.format(
            method=load.method, path=load.paths[0], header=KEY_HEADER, key=load.keys[0], body=body
        )
    paths = ", ".join(json.dumps(path) for path in load.paths)
    keys = ", ".join(json.dumps(key) for key in load.keys)
    return MANY.format(paths=paths, keys=keys, header=KEY_HEADER, method=load.method)
