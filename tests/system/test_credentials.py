# SPDX-License-Identifier: MIT
"""A secret in a file that the service manager hands over: LoadCredential= finds it in /etc/credstore."""

import stage as stages
from machine import wait_for
from stage import Check

SOCKET = "/run/redis-shortener/redis.sock"


class Credentials(Check):
    def test_password_of_redis(self):
        with stages.own_machine("credentials", "shortener", "redis-server", "curl") as own:
            own.write("/etc/shortener/shortener.conf.d/50-store.conf", "[Store]\nURL=sqlite:/var/lib/shortener/test.db\n")
            own.run("echo 'requirepass secret' >>/etc/redis/redis-shortener.conf")
            own.run("systemctl reset-failed; systemctl restart redis-server@shortener shortener.target")
            self.assertIn("NOAUTH", own.out(f"redis-cli -s {SOCKET} ping", check=False))
            own.run("systemctl start shortener@1.service")

            def is_up(value):
                text = own.out("curl -s http://127.0.0.1:5001/metrics", check=False)
                return f"\nshortener_redis_up {value}\n" in text
            wait_for(lambda: is_up(0), 20, "Redis to refuse")
            own.write("/etc/credstore/shortener.redis-password", "secret", 0o600)
            own.run("systemctl restart shortener@1.service")
            wait_for(lambda: is_up(1), 20, "Redis to take the password")
            self.assertNotIn("secret", own.journal("-u", "shortener@1"))
