#!/usr/bin/python3
"""A libtorrent DHT node that a test drives: one JSON command a line in, one JSON event a line out.

Usage: lt-dht.py LISTEN_HOST:PORT BOOTSTRAP_HOST:PORT

Commands: {"do": "state"}, {"do": "get", "key"}, {"do": "put", "seed", "key", "value"},
{"do": "announce", "infohash"}, {"do": "peers", "infohash"}, {"do": "quit"}; bytes are hex.
"""
import hashlib
import json
import sys
import tempfile
import threading
import warnings

import libtorrent as lt

warnings.simplefilter("ignore")  # session.status() is deprecated and short

# Everything goes into the constructor: a session that learns it later has already
# asked the public routers and sent multicast.
SETTINGS = {
    "listen_interfaces": sys.argv[1],
    "dht_bootstrap_nodes": sys.argv[2],
    "enable_dht": True,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "allow_multiple_connections_per_ip": True,
    # All nodes of the test share one address, which libtorrent takes for a flood.
    "dht_block_ratelimit": 100000,
    "dht_upload_rate_limit": 10000000,
    "dht_restrict_routing_ips": False,
    "dht_restrict_search_ips": False,
    "dht_ignore_dark_internet": False,
    "dht_prefer_verified_node_ids": False,
    "dht_enforce_node_id": False,
    # error, status, dht, dht operations
    "alert_mask": 0x1 | 0x40 | 0x400 | 0x40000,
}

session = lt.session(SETTINGS)
stopping = threading.Event()


def tell(**event):
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def as_bytes(value):
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else bytes(value)


def expanded(seed):
    """libtorrent's secret key is the expanded form of RFC 8032: scalar and prefix."""
    digest = bytearray(hashlib.sha512(seed).digest())
    digest[0] &= 248
    digest[31] = (digest[31] & 63) | 64
    return bytes(digest)


def obey(command):
    do = command["do"]
    if do == "state":
        tell(event="state", port=session.listen_port(), nodes=session.status().dht_nodes)
    elif do == "get":
        session.dht_get_mutable_item(bytes.fromhex(command["key"]), b"")
    elif do == "put":
        seed, key, value = (bytes.fromhex(command[name]) for name in ("seed", "key", "value"))
        session.dht_put_mutable_item(expanded(seed), key, value, b"")
    elif do == "announce":
        # session.dht_announce cannot be called from Python; a torrent announces itself.
        params = lt.parse_magnet_uri("magnet:?xt=urn:btih:" + command["infohash"])
        params.save_path = tempfile.gettempdir()
        session.add_torrent(params).force_dht_announce()
    elif do == "peers":
        session.dht_get_peers(lt.sha1_hash(bytes.fromhex(command["infohash"])))
    elif do == "quit":
        stopping.set()


def listen():
    for line in sys.stdin:
        try:
            obey(json.loads(line))
        except Exception as error:  # the test sees it and says so
            tell(event="failed", error=repr(error))
    stopping.set()


def on_alert(alert):
    kind = alert.what()
    if kind == "dht_mutable_item":
        try:
            value = alert.item
        except RuntimeError:
            value = None  # nothing was found: there is no item to be read
        if isinstance(value, dict):
            value = value.get("value")
        found = None if value is None else as_bytes(value).hex()
        tell(event="item", key=as_bytes(alert.key).hex(), seq=alert.seq, value=found, last=alert.authoritative)
    elif kind == "dht_put":
        tell(event="put", nodes=alert.num_success, seq=alert.seq)
    elif kind == "dht_get_peers_reply":
        tell(event="peers", infohash=str(alert.info_hash), ports=[peer[1] for peer in alert.peers()])
    elif kind == "dht_bootstrap":
        tell(event="bootstrap")


threading.Thread(target=listen, daemon=True).start()
while not stopping.is_set():
    session.wait_for_alert(100)
    for alert in session.pop_alerts():
        on_alert(alert)
