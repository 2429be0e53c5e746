"""Ways to write addresses that are not public: by hand, and by rules that spell one address in every form there is."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

#: Addresses inside: this machine, private networks, link-local, shared, documentation, multicast, metadata servers.
INSIDE = (
    "127.0.0.1", "127.1.2.3", "127.255.255.254", "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.254",
    "192.168.0.1", "192.168.255.255", "169.254.169.254", "169.254.170.2", "100.64.0.1", "100.100.100.200",
    "100.127.255.254", "0.0.0.0", "0.1.2.3", "192.0.0.1", "192.0.0.192", "192.0.2.1", "198.18.0.1", "198.19.255.254",
    "198.51.100.1", "203.0.113.1", "192.88.99.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "168.63.129.16",
)  # fmt: skip
INSIDE_V6 = (
    "::", "::1", "fe80::1", "febf::1", "fec0::1", "fc00::1", "fd00:ec2::254", "fdff::1", "ff02::1", "ff05::2",
    "100::1", "2001:db8::1", "2001::1", "2001:10::1", "2001:20::1", "3fff::1", "5f00::1", "0:0:0:0:0:0:0:1",
    "0000:0000:0000:0000:0000:0000:0000:0001", "::0:1",
)  # fmt: skip
#: Written by hand: what filters of text have let through elsewhere.
BY_HAND = (
    "http://localhost/", "http://LOCALHOST/", "http://localhost.localdomain/", "https://localhost./",
    "http://127.1/", "http://127.0.1/", "http://0/", "http://0x7f.1/", "http://0177.1/", "http://017700000001/",
    "http://0x7f000001/", "http://2130706433/", "http://127.0.0.1./", "http://127.0.0.1:80/", "http://127.0.0.1#@a.test/",
    "http://127.0.0.1?@a.test/", "http://a.test@127.0.0.1/", "http://a.test:b@127.0.0.1/", "http://127.0.0.1\\@a.test/",
    "http://a.test\\.127.0.0.1/", "http://127.0.0.1%00.a.test/", "http://127.0.0.1%2e/", "http://%31%32%37.0.0.1/",
    "http://\uff11\uff12\uff17.0.0.1/", "http://127\u30020\u30020\u30021/", "http://\u2460\u2461\u2466.0.0.1/",
    "http://①②⑦.⓪.⓪.①/", "http://[::ffff:7f00:1]/", "http://[::ffff:127.0.0.1]/", "http://[0:0:0:0:0:ffff:127.0.0.1]/",
    "http://[::127.0.0.1]/", "http://[64:ff9b::127.0.0.1]/", "http://[64:ff9b:1::127.0.0.1]/",
    "http://[2002:7f00:1::]/", "http://[2001:0:7f00:1::]/", "http://[fe80::1%25lo]/", "http://[::1%25lo]/",
    "http:///127.0.0.1/", "http:127.0.0.1/", "//127.0.0.1/", "http://127.0.0.1\t/", "http://127.0.0.1\n/",
    " http://127.0.0.1/", "http://127.0.0.1 /", "http://127.0.0.1:0/", "http://127.0.0.1:65536/", "http://127.0.0.1:x/",
    "file:///etc/passwd", "gopher://127.0.0.1:6379/_x", "ftp://127.0.0.1/", "dict://127.0.0.1:11211/", "ldap://127.0.0.1/",
    "javascript:alert(1)", "data:text/plain,x", "unix:/var/run/docker.sock", "http+unix://x/", "jar:http://127.0.0.1!/",
    "https://[::]/", "https://[::1]:443/", "https://0.0.0.0:443/", "https://[v1.x]/", "https://[]/", "https:///", "https://",
    "https://10.1/", "https://10.0x0.1/", "https://0x0a000001/", "https://167772161/", "https://012.0.0.1/",
    "https://169.254.43518/", "https://0xa9fea9fe/", "https://0251.0376.0251.0376/", "https://2852039166/",
    "https://metadata.google.internal/", "https://metadata/", "https://127.0.0.1.nip.test/", "https://rebind.test/",
)  # fmt: skip


def spellings() -> list[str]:
    """Return every URL, each once; all of them lead inside or nowhere."""
    found = [
        *BY_HAND,
        *(url for text in INSIDE for url in _v4(text)),
        *(url for text in INSIDE_V6 for url in _v6(text)),
    ]
    return list(dict.fromkeys(found))


def _v4(text: str) -> Iterator[str]:
    number = int(ipaddress.IPv4Address(text))
    parts = text.split(".")
    hosts = [
        text,
        str(number),
        hex(number),
        f"0{number:o}",
        ".".join(hex(int(part)) for part in parts),
        ".".join(f"0{int(part):o}" for part in parts),
        f"{parts[0]}.{number & 0xFFFFFF}",
        f"{parts[0]}.{parts[1]}.{number & 0xFFFF}",
        f"[::ffff:{text}]",
        f"[::{text}]",
        f"[64:ff9b::{text}]",
        f"[2002:{number >> 16:x}:{number & 0xFFFF:x}::1]",
        f"[2001:0:{number >> 16:x}:{number & 0xFFFF:x}::1]",
        f"[fe80::5efe:{text}]",
    ]
    return (f"https://{host}/" for host in hosts)


def _v6(text: str) -> Iterator[str]:
    whole = ipaddress.IPv6Address(text)
    return (f"https://[{host}]/" for host in (text, text.upper(), whole.exploded, whole.compressed))
