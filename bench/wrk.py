"""Load at saturation, with wrk: as many requests as are answered, over kept connections."""

import json
import subprocess
from dataclasses import dataclass
from typing import Final

from bench.machine import CoreSet
from bench.peer import Load, Stand
from bench.process import PeerFailedError, pinned

CONNECTIONS: Final = 32

DONE: Final = """
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('\\n{"requests":%d,"us":%d,"bytes":%d,"refused":%d,"failed":%d}\\n',
    summary.requests, summary.duration, summary.bytes, e.status, e.connect + e.read + e.write + e.timeout))
end
"""

ONE: Final = """
wrk.method = "{method}"
wrk.path = "{path}"
wrk.headers["{header}"] = "{credential}"
{body}
"""

MANY: Final = """
local paths = {{ {paths} }}
local credentials = {{ {credentials} }}
local asked, next = {{}}, 0
function init(args)
  for n = 1, math.max(#paths, #credentials, {traces}) do
    local headers = {{ ["{header}"] = credentials[(n - 1) % #credentials + 1] }}
    if {traces} > 0 then headers["traceparent"] = string.format("00-%032x-%016x-01", n * 7919, n) end
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
    received: int
    refused: int
    failed: int

    def as_demanded(self, load: Load) -> bool:
        """Whether every answer was of the right kind, and none shorter than the body it has to have."""
        refused = self.requests if load.refused else 0
        least = 0 if load.refused else self.requests * len(load.answer)
        whole = not self.failed and self.received >= least
        return bool(self.requests) and whole and self.refused == refused


def saturate(stand: Stand, seconds: int, cores: CoreSet) -> Counted:
    """Ask as fast as answers come. Raises PeerFailedError if they are not as they must be."""
    load, bed = stand.load, stand.bed
    script = bed.write("load.lua", script_for(load) + DONE)
    argv = [*pinned(cores), str(bed.tools["wrk"]), f"-t{len(cores)}", f"-c{CONNECTIONS * len(cores)}"]
    argv += [f"-d{seconds}s", "-s", str(script), f"{bed.scheme}://127.0.0.1:{bed.port}/"]
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=seconds + 30, check=False)
    try:
        told = json.loads(ended.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        raise PeerFailedError(f"wrk ended with {ended.returncode}: {ended.stderr.strip()[-300:]}") from None
    counted = Counted(told["requests"], told["us"] / 1e6, told["bytes"], told["refused"], told["failed"])
    if not counted.as_demanded(load):
        raise PeerFailedError(f"answers are not as they must be under load: {counted}")
    return counted


def script_for(load: Load) -> str:
    """The Lua that makes wrk ask this."""
    if load.always_the_same:
        body = f'wrk.body = string.rep("x", {load.body_bytes})' if load.body_bytes else ""
        credential = load.credentials[0]
        return ONE.format(
            method=load.method, path=load.paths[0], header=load.header, credential=credential, body=body
        )
    paths = ", ".join(json.dumps(path) for path in load.paths)
    credentials = ", ".join(json.dumps(credential) for credential in load.credentials)
    return MANY.format(
        paths=paths, credentials=credentials, header=load.header, method=load.method, traces=load.traces
    )
