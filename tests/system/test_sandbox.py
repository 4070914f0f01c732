# SPDX-License-Identifier: MIT
"""What the daemon could do if it were somebody else's: tried from inside of its unit."""

import json
import re

from stage import INSTANCES, Check, note

# Runs in place of the daemon, in the same sandbox: prints one JSON object of what worked.
PROBE = r"""
use strict;
use Socket;
my %found;
sub try { my ($name, $code) = @_; $! = 0; my $r = $code->(); $found{$name} = $r ? "yes" : "no: $!"; }
sub opens { my $path = shift; open(my $f, ">", $path) or return 0; close $f; return 1; }
sub reads { my $path = shift; open(my $f, "<", $path) or return 0; my $line = <$f>; return defined $line; }

try("inet", sub { socket(my $s, AF_INET, SOCK_STREAM, 0) });
try("inet6", sub { socket(my $s, AF_INET6, SOCK_STREAM, 0) });
try("netlink", sub { socket(my $s, 16, SOCK_RAW, 0) });
try("packet", sub { socket(my $s, 17, SOCK_RAW, 0) });
try("unix", sub { socket(my $s, AF_UNIX, SOCK_STREAM, 0) });
try("write $_", do { my $p = $_; sub { opens("$p/probe") } })
    for "/etc", "/etc/shortener", "/usr", "/var/lib", "/var/log", "/home", "/root", "/run", "/boot", "/opt",
        "/var/lib/postgresql", "/dev";
try("write state", sub { opens((split /:/, $ENV{STATE_DIRECTORY})[-1] . "/probe") });
try("write store", sub { opens("/var/lib/shortener/probe") });
try("write runtime", sub { opens("/run/shortener/probe") });
try("write tmp", sub { opens("/tmp/probe") });
try("read shadow", sub { reads("/etc/shadow") });
try("read kmsg", sub { reads("/dev/kmsg") });
try("read meminfo", sub { reads("/proc/meminfo") });
try("read mem", sub { reads("/dev/mem") });
try("read sysctl", sub { reads("/proc/sys/kernel/hostname") });
try("setuid", sub { $> = 0; $> == 0 });
try("chroot", sub { chroot("/tmp") });
try("kill init", sub { kill(0, 1) });
try("suid file", sub { opens("/tmp/suid") && chmod(04755, "/tmp/suid") });
my ($none, $place, $kind, $name) = ("none", "/tmp", "tmpfs", "probe"); # syscall() wants variables
try("mount", sub { syscall(165, $none, $place, $kind, 0, 0) == 0 });
try("unshare", sub { syscall(272, 0x10000000) == 0 });
try("ptrace", sub { syscall(101, 16, getppid(), 0, 0) == 0 });
try("hostname", sub { syscall(170, $name, 5) == 0 });
try("clock", sub { my $t = pack("qq", 1, 0); syscall(227, 0, $t) == 0 });
try("writable code", sub { my $p = syscall(9, 0, 4096, 7, 0x22, -1, 0); $p != -1 });
opendir(my $d, "/proc");
my @others = grep { /^\d+$/ && (stat("/proc/$_"))[4] != $> } readdir $d;
$found{others} = scalar @others;
$found{interfaces} = join " ", map { /^\s*(\w+):/ ? $1 : () } do { open(my $f, "<", "/proc/net/dev"); $f ? <$f> : () };
print "{", join(",", map { my $v = $found{$_}; $v =~ s/["\\]//g; "\"$_\":\"$v\"" } sort keys %found), "}\n";
"""

ALLOWED = {"unix", "write state", "write store", "write runtime", "write tmp"}


class Sandbox(Check):
    def probe(self):
        """The unit as it is, with another program in it."""
        text = self.machine.out("systemctl cat shortener@1.service")
        dropped = r"^(ExecStart|ExecReload|Type|NotifyAccess|WatchdogSec|Restart|RestartSec|PartOf|Requires|After)="
        lines = [line for line in text.splitlines() if not re.match(dropped, line)]
        unit = "\n".join(lines).replace("%i", "1")
        unit = unit.replace("[Service]", "[Service]\nType=oneshot\nExecStart=/usr/bin/perl /opt/probe.pl\n"
                            "StandardOutput=truncate:/var/log/probe.json", 1)  # fmt: skip
        self.machine.write("/opt/probe.pl", PROBE)
        self.machine.write("/run/systemd/system/shortener-probe.service", unit)
        try:
            done = self.machine.run("systemctl daemon-reload; systemctl start shortener-probe.service", check=False)
            self.assertEqual(done.returncode, 0, done.stderr + self.machine.journal("-u", "shortener-probe"))
            return json.loads(self.machine.out("cat /var/log/probe.json"))
        finally:
            self.machine.run("rm -f /run/systemd/system/shortener-probe.service /opt/probe.pl /var/log/probe.json"
                             " /var/lib/shortener/probe /var/lib/shortener/1/probe /run/shortener/probe;"
                             " systemctl daemon-reload; systemctl reset-failed", check=False)  # fmt: skip

    def test_exposure(self):
        for unit in ("shortener@1.service", "shortener@3.service"):
            last = self.machine.out(["systemd-analyze", "--no-pager", "security", unit]).splitlines()[-1]
            exposure = float(re.search(r"exposure level for \S+: ([\d.]+)", last)[1])
            self.assertLessEqual(exposure, 0.2, last)
        note(last.strip("→ "))

    def test_exposure_offline(self):
        self.machine.run("systemd-analyze --no-pager security --offline=true --threshold=2 shortener@.service")

    def test_tried_from_inside(self):
        found = self.probe()
        tried = {name: word for name, word in found.items() if name not in ("others", "interfaces")}
        worked = {name for name, word in tried.items() if word == "yes"}
        self.assertGreater(len(tried), 30)
        self.assertEqual(worked, ALLOWED, tried)
        self.assertEqual(found["others"], "0", "processes of other users")
        self.assertIn(found["interfaces"], ("", "lo"))

    def test_the_daemon_itself(self):
        """The kernel's view of the running process."""
        for n in INSTANCES:
            pid = self.pid(n)
            status = self.machine.out(f"cat /proc/{pid}/status")
            fields = dict(re.findall(r"^(\w+):\s*(.*)$", status, re.MULTILINE))
            self.assertEqual(fields["NoNewPrivs"], "1")
            self.assertEqual(fields["Seccomp"], "2")
            for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb"):
                self.assertEqual(int(fields[name], 16), 0, name)
            user = self.machine.out("id -u shortener")
            self.assertEqual(set(fields["Uid"].split()), {user})
            own, other = self.machine.out(f"readlink /proc/{pid}/ns/net /proc/1/ns/net").split()
            self.assertNotEqual(own, other)
            files = self.machine.out(f"ls -l /proc/{pid}/fd").splitlines()
            self.assertFalse([line for line in files if "(deleted)" in line and "memfd" not in line], files)
