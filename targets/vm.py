"""Virtual machines: a full kernel with two CPUs, its modules and ftrace, in QEMU, booted by virtme-ng.

The guest's root is the host's over 9p, which QEMU exports read-only; a guest can write to its job's shared folder only, and to
its own memory. KVM is used where a kernel is seen to print under it, emulation elsewhere. virtme-ng's exit status
isn't that of the script, so nothing here looks at it: what counts is what the job's folder holds.

Kernels are the plain amd64 ones of Debian's suites; one that somebody built is the target `vm`. Each is a second target too,
where SELinux is its security module and refuses what `selinux.conf` says.
"""

from __future__ import annotations

import os
import platform
import re
import selectors
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache as once
from pathlib import Path
from typing import IO, BinaryIO

from targets import debian, images, module, processes, selinux, tsc
from targets.programs import run_program
from targets.target import ROOT, Job, Say, Target, TargetError, UsageError
from targets.uml_init import MODULES

START = Path(__file__).with_name("vm_start.sh")
CPUS = 2
MEMORY = 1024
"""What a guest gets, in MB."""

TAG = "sockwake"
EXPORT = (
    f"-fsdev local,id={TAG},path=/,security_model=none,readonly=on,multidevs=remap "
    f"-device virtio-9p-pci,fsdev={TAG},mount_tag={TAG}"
)
"""The host's root once more, read-only, for the guest to mount with a cache."""

EMULATOR = "-accel tcg,thread=single"
"""One thread for both of a guest's CPUs, in turn. With a thread for each, one waits for the other in a loop, as a kernel does for
an answer to its interrupt, and takes the time that the other needs: two guests at once then took twice as long as one."""

KVM_SECONDS = 5.0
"""How long a kernel has under KVM to print its first line, which takes a tenth of a second where KVM works."""

EMULATED_DEADLINE = 60
"""When a case is held to hang, in seconds, where all is emulated: hundreds of clients at once take more than pytest's own five."""


PATH = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
"""Where programs are looked for: beside the interpreter too, where pip puts vng, and where the system keeps root's."""

POLICY = "selinux.policy"
"""What the policy that a guest is to load is called in the job's folder; vm_start.sh looks there for it."""

NO_KERNEL = "name your kernel: --kernel PATH, its bzImage, built with 9p, virtio and overlayfs"

PROGRAMS = (
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("busybox", "busybox-static"),
    ("depmod", "kmod"),
    ("file", "file"),
)
"""What virtme-ng runs, and the package that has it."""

OF_THE_IMAGE = re.compile(r"linux-(binary|modules)-")
"""The packages that a kernel's package depends on since 7.2, where the kernel and its modules are."""


@dataclass(frozen=True, kw_only=True)
class Vm(Target):
    """A kernel that somebody built, in a virtual machine."""

    cpus: float = 1.0  # pytest is one process unless told otherwise, and the guest's other CPU idles mostly
    memory: int = MEMORY
    given_bytecode: bool = True
    boot: float = 240.0
    deadline: float = 1800.0
    kernel: Path | None = None
    append: str = ""
    selinux: bool = False

    @property
    def needs(self) -> tuple[str, ...]:
        """The images that have to be fetched for it."""
        return (selinux.COMPILER,) if self.selinux else ()

    def missing(self) -> str | None:
        """A program, an image, or the kernel where none was named."""
        return (
            _missing_here()
            or (images.missing(self.name, *self.needs) if self.needs else None)
            or (None if self.kernel else NO_KERNEL)
        )

    def fetch(self, say: Say) -> None:
        """Get what a policy takes."""
        if self.selinux:
            selinux.fetch(say)
        else:
            super().fetch(say)

    def with_kernel(self, kernel: Path | None, append: str | None) -> Target:
        """Another kernel, further parameters."""
        if kernel and not (kernel.is_file() and os.access(kernel, os.R_OK)):
            raise TargetError(f"{kernel}: it isn't a file that can be read; name the bzImage or vmlinuz of a kernel")
        return replace(self, kernel=kernel.absolute() if kernel else self.kernel, append=append or self.append)

    def start(self, job: Job, console: BinaryIO) -> subprocess.Popen[bytes]:
        """Boot the kernel that was named."""
        problem = self.missing()
        if problem or not self.kernel:
            raise TargetError(str(problem))
        return self._boot(self.kernel, None, job, console)

    def _boot(self, kernel: Path, image: Path | None, job: Job, console: BinaryIO) -> subprocess.Popen[bytes]:
        """Start a kernel; `image` is the folder that it and its modules are in, and stays for as long as the guest runs.

        Takes up to KVM_SECONDS the first time, where KVM has to be tried.
        """
        kvm = kvm_boots(kernel)
        patience = () if kvm else ("--deadline", str(EMULATED_DEADLINE))  # what the user says comes later, and counts
        parameters = [*(() if kvm else emulated_parameters()), *self.append.split()]
        if self.selinux:
            parameters.append(selinux.PARAMETER)
            selinux.compile_policy(images.required(self, selinux.COMPILER), job.folder / POLICY)
        script = replace(job, arguments=(*patience, *job.arguments)).write_script()
        memory = job.scratch / "memory"
        memory.mkdir()
        listener = module.built(image) if image else os.environ.get(module.VARIABLE)
        options = [
            "--rwdir",
            str(job.folder),
            f"--qemu-opts={EXPORT} {'' if kvm else EMULATOR}",
            *(f"--append={each}" for each in parameters),
        ]
        command = [
            *(sys.executable, "-m", "targets.confine", "--memory", str(memory), "--writable", str(job.folder), "--"),
            *("sh", "-c", '"$@" || exit 1', "sh"),  # 255 is what virtme-ng says to anything, and looks like a signal's
            *(*_vng(kernel, kvm), *options, "--"),
            shlex.join(["env", f"{module.VARIABLE}={listener or ''}", "sh", str(START), TAG, str(script), *MODULES]),
        ]
        return processes.start(command, console, image, _environment())


@dataclass(frozen=True, kw_only=True)
class DebianVm(Vm):
    """The newest kernel of a series ("6.12") that Debian has, wherever it is: `suites` are those that have had it."""

    series: str
    suites: tuple[str, ...]

    @property
    def image(self) -> str:
        """The image of the kernel, whichever its security module is to be."""
        return f"vm-{self.series}"

    @property
    def needs(self) -> tuple[str, ...]:
        """The kernel's too."""
        return self.image, *super().needs

    def missing(self) -> str | None:
        """A program, the images, or what it takes to fetch them."""
        return _missing_here() or images.missing(self.name, *self.needs)

    def with_kernel(self, kernel: Path | None, append: str | None) -> Target:
        """Further parameters; another kernel isn't this target any more."""
        if kernel:
            raise UsageError(f"{self.name}: its kernel is Debian's; run a kernel of yours as: vm --kernel {kernel}")
        return super().with_kernel(None, append)

    def fetch(self, say: Say) -> None:
        """Get the newest kernel of the series, with its modules, and build the kernel's own listener for it."""
        images.refresh(self.image, "Debian", self._newest, self._fill, say)
        module.refresh(self.image, self.suites, say)
        if self.selinux:
            super().fetch(say)

    def _newest(self, say: Say) -> tuple[KernelSuite, debian.Package]:
        suites = [KernelSuite(name, say) for name in self.suites]
        found = [(suite, package) for suite in suites for package in suite.kernels(self.series)]
        if not found:
            raise TargetError(
                f"the Debian suites {', '.join(self.suites)} have no kernel {self.series} any more; run another one "
                f"of `python -m targets list`, or your own as: vm --kernel PATH"
            )
        newest = found[0]
        for other in found[1:]:
            if is_newer(other[1].version, newest[1].version):
                newest = other
        return newest

    def _fill(self, suite: KernelSuite, package: debian.Package, image: Path) -> None:
        unpacked = image / "unpacked"
        suite.unpack(suite.parts(package), unpacked)
        (image / "lib").mkdir()
        (modules,) = (folder for folder in unpacked.glob("**/lib/modules") if folder.is_dir())
        modules.rename(image / "lib/modules")
        (version,) = (image / "lib/modules").iterdir()
        beside = version / "vmlinuz"  # since 7.2
        (beside if beside.exists() else unpacked / f"boot/vmlinuz-{version.name}").rename(image / "vmlinuz")
        shutil.rmtree(unpacked)
        run_program(["depmod", "-b", str(image), version.name], f"the modules of {self.name}")

    def start(self, job: Job, console: BinaryIO) -> subprocess.Popen[bytes]:
        """Boot the image."""
        image = images.required(self, self.image)
        return self._boot(image / "vmlinuz", image, job, console)


class KernelSuite(debian.Suite):
    """A Debian suite, asked for kernels. Their packages are named after the version, so that a name can't be known beforehand."""

    def kernels(self, series: str) -> list[debian.Package]:
        """The plain amd64 kernels of a series."""
        pattern = f"^linux-image-{re.escape(series)}"
        names = (line.split(" ")[0] for line in self._call("apt-cache", "search", "--names-only", pattern).splitlines())
        return [self.newest(name) for name in names if is_plain(name, series)]

    def parts(self, kernel: debian.Package) -> list[debian.Package]:
        """The packages that have the files of a kernel and its modules."""
        words = self._call("apt-cache", "depends", f"{kernel.name}={kernel.version}").split()
        return [kernel, *(self.newest(word) for word in words if OF_THE_IMAGE.match(word))]


def is_plain(package: str, series: str) -> bool:
    """Whether a package is a plain amd64 kernel of a series ("6.12"): not `cloud`, which lacks 9p, `rt`, unsigned or debug data.

    They are called linux-image-5.10.0-32-amd64, linux-image-6.12.107+deb13-amd64, linux-image-7.3-amd64.
    """
    return bool(re.fullmatch(rf"linux-image-{re.escape(series)}([.+][^-]*)?(-[0-9]+)?-amd64", package))


def is_newer(version: str, than: str) -> bool:
    """Compare two of Debian's versions, as deb-version(7) has it."""
    return subprocess.run(["dpkg", "--compare-versions", version, "gt", than], timeout=60).returncode == 0


def emulated_parameters() -> tuple[str, ...]:
    """What an emulated kernel is told that it would find out wrongly.

    Its TSC is this machine's: how fast it counts, and that it is to be trusted. A busy host makes a kernel measure wrongly, and
    doubt the TSC and turn to the HPET, each reading of which leaves the emulated code. An idle CPU is to halt, as the emulator
    has MWAIT only as a busy loop. And nothing speculates, so that what guards against that costs time only.
    """
    khz = tsc.frequency_khz()
    return ("idle=halt", "mitigations=off", "tsc=reliable", *((f"tsc_early_khz={khz}",) if khz else ()))


def kvm_boots(kernel: Path) -> bool:
    """Whether KVM is of use here: the device may be there without, so one kernel is booted under it until it prints."""
    return os.access("/dev/kvm", os.R_OK | os.W_OK) and _prints(kernel)


@once
def _prints(kernel: Path) -> bool:
    """Whether a kernel prints anything under KVM."""
    with tempfile.TemporaryDirectory(prefix="sockwake-") as folder:
        process = subprocess.Popen(
            [*_vng(kernel, kvm=True), "--", "true"],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=_environment() | {"TMPDIR": folder},  # virtme-ng leaves files there when it is killed
            start_new_session=True,
        )
        try:
            assert process.stdout
            return comes(process.stdout, b"Linux version", time.monotonic() + KVM_SECONDS)
        finally:
            processes.end_session(process.pid)
            process.communicate()


def comes(stream: IO[bytes], words: bytes, deadline: float) -> bool:
    """Whether words are printed before a moment, and before the end."""
    said = b""
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0 and selector.select(left):
            data = os.read(stream.fileno(), 65536)
            said += data
            if words in said or not data:
                return words in said
    return False


def _vng(kernel: Path, kvm: bool) -> Sequence[str]:
    """virtme-ng's command for a kernel that comes as modules for the most part, which its microvm wouldn't find a disk with."""
    program = shutil.which("vng", path=PATH) or "vng"
    accelerator = [] if kvm else ["--disable-kvm"]
    machine = ["--disable-microvm", "--force-9p", "--cpus", str(CPUS), "--memory", f"{MEMORY}M"]
    return [program, "--verbose", "-r", str(kernel), *accelerator, *machine, "--user", "root"]


def _environment() -> dict[str, str]:
    """virtme-ng finds its own programs by PATH."""
    return os.environ | {"PATH": PATH}


def _missing_here() -> str | None:
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        return "the virtual machines need a Linux host on x86-64"
    packages = [package for program, package in PROGRAMS if not shutil.which(program, path=PATH)]
    how = [f"apt install {' '.join(packages)}"] if packages else []
    if not shutil.which("vng", path=PATH):
        how.append("pip install virtme-ng")
    return f"programs are missing: {', '.join(how)}" if how else None


SERIES = (
    ("5.10", ("bullseye",)),
    ("6.1", ("bookworm",)),
    ("6.12", ("trixie",)),
    ("6.18", ("trixie-backports",)),
    ("7.2", ("forky", "trixie-backports")),
    ("7.3", ("trixie-backports", "experimental")),
)
"""Which kernels there are, and the suites that have had them."""

TARGETS = (
    *(
        DebianVm(
            name=f"vm-{series}",
            what=f"Linux {series} in a virtual machine with {CPUS} CPUs (Debian's plain amd64 kernel)",
            series=series,
            suites=suites,
        )
        for series, suites in SERIES
    ),
    *(
        DebianVm(
            name=f"vm-{series}-selinux",
            what=f"the same Linux {series} with SELinux and a policy that refuses",
            series=series,
            suites=suites,
            selinux=True,
        )
        for series, suites in SERIES
    ),
    Vm(name="vm", what="a kernel that you built, in a virtual machine, named by --kernel"),
    Vm(name="vm-selinux", what="the same with SELinux and a policy that refuses", selinux=True),
)
