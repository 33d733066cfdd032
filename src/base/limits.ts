/**
 * Limits of this implementation: what others can make us spend.
 *
 * A change here is a release note; a change of what is on the wire belongs in
 * wire/constants.ts. Each row has its unit in the name or the comment, and its
 * reason. docs/LIMITS.md lists them all (test/lint/limits.test.ts compares).
 *
 * @module base/limits
 */

// crypto

/** Bytes that scrypt may take for one passphrase: a key file that asks for more is refused before any is taken. */
export const MAX_SCRYPT_MEMORY_BYTES = 268_435_456
/** Passes of scrypt over its memory: with the limit above some 5 s, once for each key file. */
export const MAX_SCRYPT_PARALLEL = 4

// transport

/** Bytes queued on a stream before writers wait. Two blob frames: one on its way while the next is sealed. */
export const WRITE_QUEUE_BYTES = 2_097_152
/** Connections the system holds for us before they are accepted: half a second of a flood of 2,000 a second. */
export const MAX_PENDING_ACCEPTS = 1_024
/** ms of silence before TCP asks whether the other side still lives. */
export const TCP_KEEP_ALIVE_MS = 60_000
/** ms for a TCP connection to come up. */
export const DIAL_TIMEOUT_MS = 10_000
/** Bytes of one reply of Tor's control port. Those that we ask for are below 2 KiB. */
export const MAX_CONTROL_REPLY_BYTES = 65_536
/** ms for Tor to answer one command of its control port. It does so at once, or hangs. */
export const CONTROL_COMMAND_TIMEOUT_MS = 10_000
/** ms before the control port is tried again, at first; it doubles. */
export const CONTROL_RETRY_MIN_MS = 1_000
/** ms, and no more: Tor takes some seconds to start. */
export const CONTROL_RETRY_MAX_MS = 30_000
/** ms until a proxy that is away is tried again; twice as long each time. */
export const PROXY_RETRY_MIN_MS = 500
/** ms, and no more: everything waits for it. */
export const PROXY_RETRY_MAX_MS = 15_000
/** Connections that are being made through the proxy at a time: each is a circuit that Tor builds. */
export const MAX_PROXY_DIALS = 32
/** ms for a connection through the proxy: to an onion, Tor builds two circuits and may try again. */
export const PROXY_DIAL_TIMEOUT_MS = 60_000
/** ms from acceptance to the end of the handshake; all junk is closed exactly then. Slow lines need some seconds. */
export const HANDSHAKE_DEADLINE_MS = 10_000
/** Accepted connections that are still in the handshake; the oldest goes when one more comes. 9 KiB each. */
export const MAX_HALF_OPEN = 1_024
/** Of these, from one host (IPv4, or the /64 of IPv6) or by one onion: its oldest makes room for its next. Not of loopback, behind which are many. */
export const MAX_HALF_OPEN_PER_HOST = 256
/** Trials of a first message against handshake keys, per second: some 20 us each, so a quarter of one core. */
export const HANDSHAKE_TRIALS_PER_SECOND = 12_000
/** What answering a message costs, in trials: 0.4 ms of key agreement and signature, so 600 answers per second. */
export const HANDSHAKE_ANSWER_UNITS = 20
/** Trials of one message between two looks at the rate. */
export const HANDSHAKE_TRIALS_PER_SLICE = 256
/** Trials that may be spent before the event loop goes round: 20 ms in which nothing else happens. */
export const HANDSHAKE_UNITS_PER_TURN = 1_024
/** Ephemeral keys remembered per handshake key: accepted ones only, so whoever fills it knows the key. */
export const MAX_REMEMBERED_EPHEMERALS = 4_096
/** Ephemeral keys written to the store per handshake key and hour; more come only from a flood by who knows the key. */
export const MAX_STORED_EPHEMERALS_PER_HOUR = 1_024
/** Small frames queued towards a peer that does not read: 4 MiB, then the connection is closed. */
export const MAX_QUEUED_SMALL_BYTES = 4_194_304
/** Requests of one peer that wait for our answer; more are answered busy. */
export const MAX_OPEN_REQUESTS_PER_PEER = 64
/** Questions of one peer to a gateway that wait for our answer, a KiB each; more are answered busy. */
export const MAX_OPEN_QUESTIONS_PER_PEER = 8
/** ms for an answer to a request; then it is cancelled and asked elsewhere. */
export const REQUEST_TIMEOUT_MS = 30_000
/** ms in which something must be taken of what is queued for a peer; a slow line takes a piece of 256 KiB in that time. */
export const WRITE_STALL_MS = 120_000
/** Bytes that must come in REQUEST_TIMEOUT_MS while a blob does: a line below 1 KiB/s is a stalled one. */
export const MIN_PROGRESS_BYTES = 32_768
/** ms for the answer to a request that we gave up: it may stand behind blobs on a slow line, but not forever. */
export const CANCEL_ANSWER_MS = 300_000
/** ms for a last message to go out and the other side to close, before it is cut off. */
export const CLOSE_LINGER_MS = 5_000
/** Work that one peer's messages may cause per second, in units of 10 us: a tenth of one core. Over it we read slower. */
export const PEER_WORK_PER_SECOND = 10_000
/** Work units that a peer may cause at once: 50 ms. */
export const PEER_WORK_BURST = 5_000
/** ms of its rate that a limit lets through at once after a quiet time: half a second of 60 is under one in a hundred. */
export const RATE_BURST_MS = 500
/** ms of a limited rate that one turn of a connection is worth. */
export const RATE_PIECE_MS = 10
/** Bytes of one turn at least: 16 small frames. */
export const RATE_PIECE_MIN_BYTES = 16_384
/** Bytes of one turn at most, and given to the system ahead: what a fast limit lets pass between two timers. */
export const RATE_PIECE_MAX_BYTES = 1_048_576
/** Bytes that each connection may move before it waits for a turn: the handshake and three small frames. */
export const RATE_ALLOWANCE_BYTES = 4_096
/** ms after which a turn that nobody uses is given to another. */
export const RATE_GRANT_MS = 50
/** Work per second that all peers together may cause, in the same units: half a core. Over it each has an equal part. */
export const ALL_WORK_PER_SECOND = 50_000
/** Work units that all may cause at once before each has an equal part of that: half a second's. */
export const ALL_WORK_BURST = 25_000
/** Bytes a second below which a limit is warned of: peers close connections that move less than 1 KiB a second. */
export const MIN_USEFUL_RATE = 4_096
/** Blob frames being received at a time over all connections: each has its buffer of 1 MiB. */
export const MAX_BLOBS_IN_FLIGHT = 24
/** ms without any frame sent before a PAD goes out: 50 peers then cost under 30 MB a day. */
export const IDLE_PAD_MS = 300_000
/** ms without any frame received before a connection counts as dead: two PADs and some. */
export const IDLE_CLOSE_MS = 780_000

// swarm

/** Bytes of what one peer told of the blobs it holds: one set of the largest release. 200 peers make 50 MiB. */
export const MAX_HOLDINGS_BYTES_PER_PEER = 262_144
/** Releases of one channel of which a peer's holdings are remembered. */
export const MAX_RELEASES_PER_PEER = 3
/** Open blobs looked at for the rarest one: enough to find rare ones, and a pick stays quick. */
export const PICK_SAMPLE = 32
/** ms that a peer has a blob to itself before an idle one is asked for it too, while none has come yet. */
export const SECOND_SOURCE_MS = 4_000
/** Times the usual time of a blob after which a peer counts as stalled, and an idle one is asked too. */
export const LATE_FACTOR = 4
/** ms at least for that: shorter waits are those of a busy peer. */
export const MIN_LATE_MS = 1_500
/** Times the usual time of a blob after which one of the last blobs, or one that is being read, is asked of another. */
export const END_FACTOR = 2
/** ms at least for that. */
export const MIN_END_MS = 750
/** ms at most that a peer has a blob to itself while another is idle, however slow the line. */
export const MAX_PATIENCE_MS = 30_000
/** Requests beyond its window that a proven peer may get for blobs that are being read. */
export const URGENT_REQUESTS_AHEAD = 2
/** Peers asked for one blob at a time: what more of them send would be thrown away. */
export const MAX_SOURCES_PER_BLOB = 3
/** Requests in flight to one peer that has earned them. */
export const MAX_WINDOW = 8
/** ms of work that a peer is given ahead: one that takes longer for a blob gets one at a time. */
export const WINDOW_AHEAD_MS = 2_000
/** Requests in flight to peers that gave nothing yet, of MAX_BLOBS_IN_FLIGHT: identities are free. */
export const MAX_TRIAL_REQUESTS = 12
/** ms after which a request may be given up when others wait for its place. */
export const LATE_BLOB_MIN_MS = 20_000
/** Factor by which it must be later than usual besides: on a slow line all are late. */
export const LATE_BLOB_FACTOR = 4
/** Blobs that a peer may have told of and not give, beyond those that it gave. */
export const MAX_MISSES = 16
/** ms in which a peer that said busy is not asked; doubles until it gives something. */
export const BUSY_PAUSE_MS = 1_000
/** ms at most that a busy peer is left alone. */
export const MAX_BUSY_PAUSE_MS = 32_000
/** Blobs of 1 MiB being read for peers at a time over all connections. */
export const MAX_UPLOADS = 4
/** Blobs of 1 MiB read for peers and not yet taken by the system, over all connections. */
export const MAX_QUEUED_UPLOADS = 64
/** Share of these that is kept for peers that gave us blobs: others cannot fill it. */
export const TRUSTED_UPLOADS_SHARE = 0.25
/** ms of a limited rate that is read ahead: more would only wait in memory. */
export const UPLOAD_AHEAD_MS = 8_000
/** Bytes queued for all peers together: twice the blobs that may be; the peer with most goes first. */
export const MAX_QUEUED_TOTAL_BYTES = 134_217_728
/** ms that a peer waits for its turn before it is told that we are busy: half of the time after which it would give us up. */
export const UPLOAD_PATIENCE_MS = 15_000
/** ms that somebody has waited for a place before those that hold them without reading are looked for. */
export const UPLOAD_PRESSURE_MS = 250
/** ms in which a peer has taken nothing of what is queued before it loses its place to others that wait. */
export const UPLOAD_STALL_MS = 1_250
/** Factor by which it must be slower than its part of what we send besides: on a slow line all are slow. */
export const UPLOAD_STALL_FACTOR = 4
/** ms between two looks at who reads, while somebody waits. */
export const UPLOAD_LOOK_MS = 250
/** Addresses kept for one channel; the worst one makes room. */
export const MAX_ADDRESSES_PER_CHANNEL = 256
/** Addresses of one channel that come from one kind of source: half, so that none fills the book. */
export const MAX_ADDRESSES_PER_SOURCE = 128
/** Addresses of one channel that one peer told of: whoever tells more replaces his own. */
export const MAX_ADDRESSES_PER_ORIGIN = 32
/** Addresses of a channel that are kept over a restart and dialled first. */
export const MAX_ANCHORS = 4
/** ms that we must have been connected to a peer that becomes an anchor. */
export const ANCHOR_AGE_MS = 300_000
/** ms between two looks at which peers are anchors; each change is a write to the database. */
export const ANCHOR_SAVE_MS = 60_000
/** Lowest port of an address that peers and slots tell of: below listen the services of others. */
export const MIN_HINTED_PORT = 1_024
/** ms before an address that failed once is dialled again; doubles with each failure. */
export const DIAL_BACKOFF_FIRST_MS = 2_000
/** ms at most between two tries of an address. */
export const DIAL_BACKOFF_MAX_MS = 600_000
/** ms at most between two tries of an address that a user gave, by hand or in a link. */
export const DIAL_BACKOFF_TRUSTED_MS = 60_000
/** Failures in a row after which an address that no user gave is forgotten. */
export const MAX_DIAL_FAILURES = 6
/** Connections being made at a time: each holds a socket and a timer. */
export const MAX_DIALS = 16
/** Connections being made at a time for one channel: dead addresses of one do not keep the others waiting. */
export const MAX_DIALS_PER_CHANNEL = 4
/** Connections being made at a time to addresses that the user gave. */
export const MAX_USER_DIALS = 8
/** Connections that a channel wants; more may come in. */
export const TARGET_PEERS_PER_CHANNEL = 8
/** ms after which a peer that we dialled and that gave nothing makes room for another. */
export const PEER_TRIAL_MS = 60_000
/** ms that a connection must have lasted for its address to count as good. */
export const GOOD_CONNECTION_MS = 30_000
/** Share of all places that peers may take who come in: nobody can keep us from dialling. */
export const INBOUND_SHARE = 0.75
/** Share of the peers that each reason to keep one may keep: four reasons, so half of them can always make room. */
export const PROTECTED_SHARE = 0.125
/** ms for which a peer that gave or was given a blob counts as useful. */
export const USEFUL_PEER_MS = 600_000
/** ms without a blob either way after which a peer makes room for a newcomer when all places are taken. */
export const IDLE_PEER_MS = 300_000
/** Share of the places for peers that come in which one host may take: an IPv4 address or the /64 of an IPv6 one. */
export const GROUP_SHARE = 0.25
/** ms that a peer has to show a channel before it makes room for others. */
export const ADMISSION_GRACE_MS = 10_000
/** Connections without a place that are told so at a time; more are closed without a word. */
export const MAX_REFUSALS = 32
/** ms for the first HELLO after the handshake. */
export const HELLO_DEADLINE_MS = 20_000
/** ms at least between two HELLOs on a connection that tell of news. */
export const MIN_HELLO_INTERVAL_MS = 100
/** HELLOs per second on a connection, in the long run. Looking through one costs an HMAC a channel. */
export const HELLOS_PER_SECOND = 1
/** HELLOs at once: 448 channels. */
export const HELLO_BURST = 8
/** Factor by which a peer may send more at once than we would, since the network gathers what is sent. */
export const HELLO_TOLERANCE = 2
/** HELLOs kept of a connection, 1 KiB each: a channel that we join later is looked for in them. */
export const MAX_KEPT_HELLOS = 4
/** Peers asked at a time for the head of one channel: most would send the same. */
export const MAX_HEADS_ASKED = 3
/** ms that a peer may take for a head before another is asked. */
export const HEAD_PATIENCE_MS = 2_000
/** Sets of slots signed ahead that are asked for or verified at a time by one swarm, which in safe mode is one channel: 1 MiB of memory each. Verified is one at a time. */
export const MAX_SLOT_SETS_ASKED = 2
/** Sets of slots that are taken of one channel in an hour, in the long run: a publisher that signs without end costs 0.3 % of a core. */
export const SLOT_SETS_PER_HOUR = 6
/** Sets of slots of one channel that are taken at once: a busy day of a publisher, or a few peers that lie. */
export const SLOT_SET_BURST = 6
/** ms between two peers that are asked for the set of one channel, and before the same ones are asked again; that doubles. */
export const SLOT_SET_RETRY_MIN_MS = 10_000
/** ms, and no more: 100 channels that nobody has a set of cost 5 MB a day. */
export const SLOT_SET_RETRY_MAX_MS = 3_600_000
/** ms in which blobs that arrived are gathered into one HAVE. */
export const HAVE_INTERVAL_MS = 250
/** HAVE messages to one peer in that time: 33 KiB each at most. */
export const HAVES_PER_TURN = 4
/** ms that a peer which sent false data stays banned. */
export const BAN_MS = 3_600_000
/** ms that an inbound address stays banned, since others may share it. */
export const INBOUND_BAN_MS = 300_000
/** Bans kept; the one that ends first goes first. A row of 100 bytes each. */
export const MAX_BANS = 4_096
/** ms between two looks at what could be dialled or asked next. */
export const SWARM_TICK_MS = 1_000

// PEX

/** Addresses in one answer: a few, of several networks, so that a peer is worth asking and nobody is listed. */
export const PEX_ADDRESSES_PER_ANSWER = 8
/** Addresses told on one connection of one channel, then no more: memory of 10 KiB a channel. */
export const MAX_PEX_TOLD = 64
/** Questions of one peer that are answered per second, in the long run: each costs a look at all that is shared. */
export const PEX_ANSWERS_PER_SECOND = 0.2
/** Questions of one peer at once: one for each of 100 channels. */
export const PEX_ANSWER_BURST = 128
/** ms after which a peer is asked again, while it tells of what is new. */
export const PEX_ASK_FIRST_MS = 10_000
/** Factor by which that grows with each answer without news: seven questions on the first day, two on the next. */
export const PEX_ASK_FACTOR = 4
/** ms at most between two questions to one peer about one channel. */
export const PEX_ASK_MAX_MS = 43_200_000
/** ms for which an address is told after a member was met there. */
export const PEX_FRESH_MS = 1_800_000
/** ms after which a channel is looked at again for whom to ask, at the latest: peers may have left it. */
export const PEX_LOOK_MS = 60_000
/** Questions for peers that are open at a time over all connections. */
export const MAX_PEX_ASKS = 16

// flood

/** Neighbours of a node, at most: each gets every statement, and gives some first. */
export const MAX_FLOOD_NEIGHBOURS = 12
/** Statements known of above which new ones go only to the neighbours nearest to their topic. */
export const FLOOD_WIDE_STATEMENTS = 3_000
/** Neighbours that get a statement then. */
export const FLOOD_NARROW_NEIGHBOURS = 3
/** Statements taken per second from all neighbours in the long run: with the wire's sizes under 60 MB a day. */
export const FLOOD_STATEMENTS_PER_SECOND = 0.5
/** Statements taken at once from all neighbours: the hours before midnight bring more than others. */
export const FLOOD_STATEMENT_BURST = 1_024
/** Statements taken per second from one neighbour: an eighth of all, so that none crowds out the others. */
export const FLOOD_PEER_STATEMENTS_PER_SECOND = 0.0625
/** Statements taken at once from one neighbour: 0.3 s of checking. */
export const FLOOD_PEER_BURST = 256
/** Statements taken per second from all guests of a relay together: as from two neighbours. */
export const FLOOD_GUEST_STATEMENTS_PER_SECOND = 0.125
/** Statements taken at once from all guests: the onions of 100 nodes that start together. */
export const FLOOD_GUEST_BURST = 256
/** Statements remembered as seen, 150 bytes each: what the rates let in while a statement can be current. */
export const MAX_FLOOD_SEEN = 56_000
/** Statements kept in full, 400 bytes each; those nearest to our relay id. */
export const MAX_FLOOD_HELD = 8_192
/** Statements that wait to be sent to one neighbour; the oldest goes. */
export const MAX_FLOOD_QUEUE = 1_024
/** ms in which statements for one neighbour are gathered, half to one and a half times: padding makes each frame a KiB. */
export const FLOOD_BATCH_MS = 30_000
/** ms that a statement on the stem waits at a node, half to one and a half times. */
export const FLOOD_STEM_DELAY_MS = 4_000
/** Share of nodes that end stems: ten steps on average. */
export const FLOOD_STEM_END_SHARE = 0.1
/** Neighbours to which stems go on in one epoch: few, so that who watches several of our neighbours learns little. */
export const FLOOD_STEM_SUCCESSORS = 2
/** ms, half to one and a half times, until it is drawn anew where stems go. */
export const FLOOD_STEM_EPOCH_MS = 600_000
/** ms, once to twice, after which a node of the stem floods a statement that has not come back in a flood. */
export const FLOOD_EMBARGO_MS = 300_000

// relays

/** Relay connections that a node makes and keeps; the rest of MAX_FLOOD_NEIGHBOURS is for those who come. */
export const RELAY_NEIGHBOURS = 4
/** Of these, to gateways that the user named, once other relays are known: the user's gateways may be friends. */
export const RELAY_GIVEN_NEIGHBOURS = 2
/** Relay connections being made at a time. */
export const MAX_RELAY_DIALS = 2
/** ms between two looks at whether a relay is to be dialled, or asked for others. */
export const RELAY_LOOK_MS = 5_000
/** ms at most for what one errand of ours at a relay takes, once it is connected. */
export const RELAY_ERRAND_MS = 30_000
/** ms over which the onions of a node that starts are told, each at a time of its own. */
export const ONION_TELL_SPREAD_MS = 120_000
/** ms before a statement that no relay took is told again; doubles. */
export const ONION_TELL_RETRY_MIN_MS = 30_000
/** ms at most between two such tries. */
export const ONION_TELL_RETRY_MAX_MS = 1_800_000
/** ms, half to the whole, after which a statement that was told must have come back to us in the flood. */
export const ONION_TELL_CHECK_MS = 1_800_000
/** Times that one statement is told: whoever swallowed it the first time is hardly met again. */
export const MAX_ONION_TELLS = 3
/** Relays that are tried for one telling, each a connection. */
export const RELAY_TRIES = 3
/** Relays asked for a channel's onions in one look. */
export const RELAY_ASKS = 2
/** Errands of ours at relays at a time. */
export const MAX_RELAY_ERRANDS = 4
/** ms that a first look at relays waits, by chance: channels that are followed together are not asked for together. */
export const RELAY_FIND_SPREAD_MS = 15_000
/** ms until relays are asked again for a channel without peers; grows by half each time. An onion may be new, and its statement on the way. */
export const RELAY_FIND_AGAIN_MS = 20_000
/** ms until relays are asked for relays again, where there are too few; doubles. */
export const RELAY_FIND_MIN_MS = 60_000
/** ms at most between two such questions. */
export const RELAY_FIND_MAX_MS = 1_800_000
/** ms, half to the whole, until relays are asked again for a channel that has peers: these may keep it from others. */
export const RELAY_FIND_SELDOM_MS = 14_400_000
/** Connections of guests at a time, and of those that have not said yet what they are; the oldest goes. */
export const MAX_RELAY_GUESTS = 32
/** ms that a guest has for what it came for, over Tor too. */
export const RELAY_GUEST_MS = 60_000
/** Statements that one guest may tell: it comes with one, or two around midnight. */
export const MAX_GUEST_STATEMENTS = 4
/** ms that a neighbour which came in has its place for sure: a flood takes minutes. */
export const RELAY_SETTLED_MS = 300_000
/** Neighbours that came in and are kept since they brought most: half of their places. */
export const RELAY_KEPT_NEIGHBOURS = 4

/** Tries for a proof of work between two turns of the event loop: 4 ms each. */
export const WORK_TRIES_PER_TURN = 2_048
/** Bytes a day, both directions, that a node's part in the flood may cost: checked by a model at a million nodes. */
export const FLOOD_BYTES_PER_DAY = 100_000_000
/** Bytes a day, both directions, that PEX may cost with 50 peers that share 10 channels each: checked by a model. */
export const PEX_BYTES_PER_DAY = 20_000_000

// wire

/** Parts of a manifest: 512 MiB of description, twice what 1,000,000 files over 1 TiB take. */
export const MAX_MANIFEST_PARTS = 512
/** Entries of a manifest, fragments of one file counted once: some 60 bytes of memory each and the path. */
export const MAX_MANIFEST_ENTRIES = 2_000_000
/** Blobs of a release: 2 TiB. 64 bytes of memory each and the index. */
export const MAX_MANIFEST_BLOBS = 2_097_152
/** Extents of a manifest: two an entry; 16 bytes of memory each. */
export const MAX_MANIFEST_EXTENTS = 4_000_000
/** Bytes of all paths of a manifest: 134 each for 1,000,000 files. Held in memory as they are. */
export const MAX_MANIFEST_PATH_BYTES = 134_217_728
/** Different folders above the entries of a manifest: a path of 4,096 bytes can name 2,047 of them. */
export const MAX_MANIFEST_FOLDERS = 2_000_000
/** Characters of a link: some thirty addresses with node keys. It is parsed before anything is known of it. */
export const MAX_LINK_CHARS = 8_192
/** Addresses in a link, peers and gateways together: each is a dial, and an onion a check of its key. */
export const MAX_LINK_ADDRESSES = 32

// discovery: datagrams of the DHT

/** Longer datagrams are dropped unread. A full BEP 44 value with nodes is about 1,600 bytes. */
export const KRPC_MAX_DATAGRAM_BYTES = 2_048
/** Levels of nesting in a datagram; the deepest field that we know is at 3. */
export const KRPC_MAX_DEPTH = 5
/** Values in one datagram; one full of peers has some 260. */
export const KRPC_MAX_ITEMS = 320
/** Bytes of a transaction id that strangers choose and we give back. In the wild: 2 to 8. */
export const KRPC_MAX_TRANSACTION_BYTES = 20
/** Bytes of a write token that we give back to the node that it came from. In the wild: 4 to 20. */
export const KRPC_MAX_TOKEN_BYTES = 64
/** Nodes in one answer that we read: most send 8, bittorrent-dht all that it knows. */
export const KRPC_MAX_NODES = 64
/** Bytes of the message of an error, kept for a log line at most. */
export const KRPC_MAX_ERROR_TEXT_BYTES = 256
/** BEP 44: bytes of a value in its bencoded form. */
export const KRPC_MAX_VALUE_BYTES = 1_000
/** Bytes of a value that we store for others: what fits an answer of KRPC_MAX_ANSWER_BYTES. */
export const KRPC_MAX_STORED_VALUE_BYTES = 940
/** Bytes of an answer to a stranger's query, so that it fits any line and amplifies little. */
export const KRPC_MAX_ANSWER_BYTES = 1_200
/** Factor by which an answer may be longer than its query: forged sources gain no more than that. */
export const KRPC_MAX_ANSWER_RATIO = 12
/** Queries of ours that wait for a reply; each is some 200 bytes. */
export const KRPC_MAX_PENDING = 1_024
/** ms after which no reply to a query of ours is accepted. Longer than the library waits. */
export const KRPC_PENDING_MS = 5_000
/** Queries per second answered to one address, in the long run. */
export const KRPC_QUERIES_PER_SECOND = 50
/** Queries answered to one address at once: whoever starts a dozen nodes behind one address needs some. */
export const KRPC_QUERY_BURST = 400
/** Addresses whose rate is remembered; the longest silent is forgotten first. 100 bytes each. */
export const KRPC_MAX_RATED_ADDRESSES = 8_192
/** Strangers per second that a serving node pings, to learn whether they exist before they enter its table. */
export const KRPC_PROBES_PER_SECOND = 20

// discovery: operations on the DHT

/** Nodes that are read and written, nearest to the target first: 8, and two for those that go or store nothing. */
export const DHT_CLOSEST_NODES = 10
/** Holders of a slot below which it is put back, of DHT_CLOSEST_NODES nodes. */
export const DHT_ENOUGH_HOLDERS = 8
/** Queries of one walk in flight. */
export const DHT_WALK_PARALLEL_QUERIES = 6
/** Queries of one walk in all: forged nodes cannot lead it on for ever. A usual walk needs 20 to 40. */
export const DHT_MAX_WALK_QUERIES = 120
/** Nodes heard of in one walk and kept as candidates; the farthest goes first. */
export const DHT_MAX_WALK_NODES = 256
/** Nodes of one answer that a walk takes in, the nearest: one liar cannot fill it. */
export const DHT_NODES_PER_ANSWER = 10
/** Walks at a time; more wait in a queue. */
export const DHT_PARALLEL_WALKS = 8
/** Operations of ours that wait for a place among DHT_PARALLEL_WALKS. */
export const DHT_MAX_WAITING_OPERATIONS = 4_096
/** ms for a whole operation on the DHT: what was found by then is the result. */
export const DHT_OPERATION_TIMEOUT_MS = 20_000
/** ms for one query of ours. Most nodes answer in 300 ms, and each dead one costs this. */
export const DHT_QUERY_TIMEOUT_MS = 1_500
/** ms after which a query no longer counts among DHT_WALK_PARALLEL_QUERIES: its node is likely gone. */
export const DHT_STALL_MS = 500
/** ms for which a node that was silent is not asked again on the word of others. */
export const DHT_SILENCE_MS = 300_000
/** Nodes remembered as silent, the longest known forgotten first; 100 bytes each. */
export const DHT_MAX_SILENT_NODES = 2_048
/** Peers that one lookup gives out; forged nodes can name any number. */
export const DHT_MAX_PEERS_PER_LOOKUP = 200
/** Targets whose nearest nodes are remembered, to begin the next walk there. 1 KiB each. */
export const DHT_MAX_REMEMBERED_TARGETS = 1_024
/** ms between two tries to find nodes while the table holds few; the first tries come sooner. */
export const DHT_BOOTSTRAP_RETRY_MS = 30_000
/** Addresses that one bootstrap name may resolve to and that are asked. */
export const DHT_MAX_ADDRESSES_PER_NAME = 8
/** ms after which work in the background is tried again while no node is known: it costs nothing then. */
export const DHT_RETRY_MS = 60_000
/** ms between two walks towards our own id, which keep the table alive. */
export const DHT_REFRESH_MS = 900_000
/** Values stored for others by a serving node: 1 KiB each. */
export const DHT_MAX_STORED_VALUES = 1_000
/** ms after which a value stored for others is forgotten, as BEP 44 advises. */
export const DHT_VALUE_LIFETIME_MS = 7_200_000
/** Peers stored for others by a serving node: 100 bytes each. */
export const DHT_MAX_STORED_PEERS = 10_000
/** Nodes in one answer of a serving node: 416 bytes. */
export const DHT_MAX_NODES_PER_ANSWER = 16
/** Peers in one answer of a serving node: 800 bytes. */
export const DHT_MAX_PEERS_PER_ANSWER = 100
/** ms after which a peer stored for others is forgotten. Announcements come every 15 to 30 minutes. */
export const DHT_PEER_LIFETIME_MS = 2_700_000
/** Nodes kept over a restart. */
export const DHT_MAX_SAVED_NODES = 200
/** Bytes of dht_state.json that are read; 200 nodes are under 16 KiB. */
export const DHT_MAX_STATE_BYTES = 65_536
/** ms between two times that the nodes are saved. */
export const DHT_STATE_SAVE_MS = 600_000

// discovery: slots and announcements

/** Keys of slots that are remembered of one channel: three replicas of the days that are looked at, and some. Each costs 1 ms of curve arithmetic. */
export const MAX_RECENT_SLOT_KEYS = 16
/** Signed values of one slot that one read opens, 2 ms each. Only the publisher can make more than one. */
export const MAX_SLOT_CANDIDATES = 16
/** Looks at followed slots that run at a time; so most of DHT_PARALLEL_WALKS are left to who waits for an answer. */
export const SLOT_PARALLEL_CHECKS = 2
/** Announcements that run at a time, for the same reason. */
export const ANNOUNCE_PARALLEL_WALKS = 2
/** ms, least random time between two looks at a slot that is followed. */
export const SLOT_CHECK_MIN_MS = 1_800_000
/** ms, longest random time between two looks at a slot that is followed: news of it comes no later. */
export const SLOT_CHECK_MAX_MS = 5_400_000
/** ms without a known refresh after which a held slot is put again: real nodes forget after 2 h. */
export const SLOT_REFRESH_MS = 5_400_000
/** ms, least random time between two looks at a slot of tomorrow while nobody reads it yet. */
export const SLOT_AHEAD_MIN_MS = 14_400_000
/** ms, longest random time between two looks at a slot of tomorrow while nobody reads it yet. */
export const SLOT_AHEAD_MAX_MS = 21_600_000
/** Days of a set of slots that one task of a worker signs or verifies: blobs wait 20 ms behind it. */
export const SLOT_SET_DAYS_PER_TASK = 10
/** ms before slots are signed ahead again after that failed: a full disk, a worker that ended. */
export const SLOT_SET_SIGN_RETRY_MS = 60_000
/** ms before readers ask for tomorrow's slots, over which they are put first: late, so that few releases change them beside today's. */
export const SLOT_SPREAD_MS = 10_800_000
/** ms, least random time between two announcements of a topic. */
export const TOPIC_ANNOUNCE_MIN_MS = 1_500_000
/** ms, longest random time between two announcements of a topic. Nodes forget peers after 30 to 45 minutes. */
export const TOPIC_ANNOUNCE_MAX_MS = 1_800_000
/** Blobs announced per hour, whatever is held: the rotation takes turns. Each costs about 12 KB. */
export const BLOB_ANNOUNCES_PER_HOUR = 30
/** Bytes a day that 100 followed channels may cost in DHT traffic: checked by a model. */
export const DHT_IDLE_BYTES_PER_DAY = 300_000_000

// discovery: gateways

/** Items that a gateway keeps for others, 1 KiB each on disk: what it can look after with two walks of the DHT a second. */
export const MAX_GATEWAY_ITEMS = 8_192
/** Items of one host among these: an eighth, the slots of a hundred channels. */
export const GATEWAY_HOST_ITEMS = 1_024
/** Items of all who come through loopback or an onion, who look like one host: half. */
export const GATEWAY_SHARED_ITEMS = 4_096
/** Share of the load from which a gateway asks for a memory-hard puzzle: 64 walks wait, or more than half of the places are taken. */
export const GATEWAY_PUZZLE_LOAD = 0.0625
/** KiB of memory of one try of that puzzle: 16 MiB, 40 ms of one core, for whoever solves and whoever checks. */
export const GATEWAY_PUZZLE_MEMORY_KIB = 16_384
/** Passes over that memory: one, since a second makes checking dearer and gains nothing against this much memory. */
export const GATEWAY_PUZZLE_PASSES = 1
/** Bits of the puzzle at that load: four tries, a sixth of a second. */
export const GATEWAY_PUZZLE_BITS = 2
/** Bits of it at full load: 64 tries, some three seconds, of the minute that a publisher waits. */
export const GATEWAY_PUZZLE_FULL_BITS = 6
/** Solutions that wait to be checked, a KiB each: ten seconds' worth. One is checked at a time. */
export const GATEWAY_MAX_PUZZLES = 256
/** Solutions of one host among these. */
export const GATEWAY_MAX_PUZZLES_PER_HOST = 16
/** ms that a solution waits to be checked: what is put after it takes GATEWAY_ANSWER_MS of REQUEST_TIMEOUT_MS. */
export const GATEWAY_PUZZLE_WAIT_MS = 8_000
/** ms for which a solution of an easier puzzle counts that was asked for before: solving took no more, and load goes up meanwhile. */
export const GATEWAY_PUZZLE_GRACE_MS = 30_000
/** Factor by which a puzzle may take more tries than it does on average, before we leave it: one in 3,000 does. */
export const PUZZLE_TRIES_FACTOR = 8
/** Walks of the DHT for others that run at a time: half of DHT_PARALLEL_WALKS. */
export const GATEWAY_PARALLEL_WALKS = 4
/** Questions of others that wait for such a walk, a KiB each: one of each of a thousand hosts. The host that had most is told busy. */
export const GATEWAY_MAX_WAITING = 1_024
/** Questions of one host among these. */
export const GATEWAY_MAX_WAITING_PER_HOST = 16
/** ms after which the walks that a host has had count half when it is decided who comes first. */
export const GATEWAY_USE_HALF_LIFE_MS = 600_000
/** ms after which whoever publishes is told that it is kept, if it could not be put by then: before he gives up. */
export const GATEWAY_ANSWER_MS = 20_000
/** Looks at kept items that run at a time, besides the walks for others. */
export const GATEWAY_PARALLEL_LOOKS = 2
/** ms in which items that come in are gathered and written down together: 20 syncs of the disk a second at most. */
export const GATEWAY_SAVE_MS = 50
/** Part of the blobs of a gateway that one host may fill, as a share: four fill it all, and make room for others. */
export const GATEWAY_HOST_BLOBS_SHARE = 0.25
/** The same, as a share, for all who come through loopback or an onion. */
export const GATEWAY_SHARED_BLOBS_SHARE = 0.5
/** Blobs that a gateway fetches from publishers at a time: buffers of 1 MiB. */
export const GATEWAY_PARALLEL_BLOBS = 8
/** Blobs of publishers that wait for that: 16 full lists, ids alone. */
export const GATEWAY_MAX_WAITING_BLOBS = 4_096
/** ms that one blob of a publisher may take: a line of 9 KiB/s. */
export const GATEWAY_BLOB_TIMEOUT_MS = 120_000
/** ms between two looks at which kept blobs are over. */
export const GATEWAY_BLOBS_LOOK_MS = 600_000
/** Blobs of a release that gateways are asked to keep, at most: 64 GiB, more than any of them lends. */
export const MAX_KEPT_RELEASE_BLOBS = 65_536
/** ms between two questions of a publisher how it stands with blobs that a gateway fetches. */
export const KEEP_LOOK_MS = 2_000
/** ms after which a publisher asks a gateway again that could not be reached, or did not keep all. */
export const KEEP_RETRY_MS = 600_000
/** ms after which it asks again where all was kept: a week, of the 30 days that blobs are kept. */
export const KEEP_AGAIN_MS = 604_800_000
/** ms without a peer that shares the channel, while something is fetched, before gateways of its link are asked for blobs. */
export const KEEPER_AFTER_MS = 3_000
/** ms after which such a gateway is tried again. */
export const KEEPER_RETRY_MS = 30_000
/** Connections to a gateway by its onion at a time: all seem to come from one host, so the oldest goes for a new one. */
export const MAX_ONION_ERRANDS = 256
/** ms after which such a connection is closed: work, a puzzle and the answer take less than a minute. */
export const GATEWAY_ERRAND_MS = 120_000
/** Gateways that are asked one after the other for one thing, or given one item, until one has done it. */
export const GATEWAY_TRIES = 3
/** ms for which a gateway that was found out is asked only if there is no other. */
export const GATEWAY_REST_MS = 3_600_000
/** ms at most that an item waits before it goes to a gateway, by chance, in direct mode: whoever publishes waits for it. */
export const GATEWAY_SPREAD_MS = 3_000
/** ms at most that an item waits before it goes to a gateway, by chance, in safe mode: so that it can be put and read back within the minute that a publisher waits. */
export const GATEWAY_SAFE_SPREAD_MS = 15_000
/** Peers of one look for a topic that safe mode dials: a few, since nobody has tried them and each costs a circuit. */
export const GATEWAY_SAFE_PEERS = 4

// storage

/** Worker threads at most. More than four only wait for each other's memory, and each costs some 13 MiB, 50 MiB when busy. */
export const MAX_WORKERS = 4
/** ms without any work after which the worker threads end: idle ones hold some 50 MiB, and are back in 40 ms. */
export const WORKER_IDLE_MS = 30_000
/** Tasks given to one worker at a time: while one waits for the disk, the next is hashed and sealed. */
export const TASKS_PER_WORKER = 4
/** Tasks waiting for a worker before callers wait too. A task that carries a blob holds 1 MiB. */
export const MAX_QUEUED_TASKS = 64
/** Callers waiting for a place in that queue; one more is an error of ours, not load. */
export const MAX_WAITING_TASKS = 65_536
/** Heap of one worker in MiB: its work needs under 20, a leak or a hostile input ends there and not with the process. */
export const WORKER_HEAP_MIB = 128
/** Blobs that share one set of folder fsyncs and one transaction. */
export const MAX_COMMIT_BLOBS = 64
/** ms that the first blob of a batch waits for company while others are being written. */
export const COMMIT_DELAY_MS = 40
/** Files hashed by one task: keeps a worker busy for some 20 ms and not for seconds. */
export const MAX_PIECES_PER_TASK = 512
/** Bytes hashed by one task, beyond the first file. */
export const MAX_PIECE_BYTES_PER_TASK = 8_388_608
/** Recycled 1 MiB buffers kept for the next blob. */
export const MAX_IDLE_BUFFERS = 8
/** Blobs deleted between two moments in which writes may go on: some 20 ms. */
export const DELETE_BATCH_BLOBS = 1_024
/** Free space is asked of the system again after this many bytes written... */
export const FREE_SPACE_RECHECK_BYTES = 67_108_864
/** ...or this many ms: other programs write to the disk too. */
export const FREE_SPACE_RECHECK_MS = 1_000
/** Blobs that a crash left unrecorded and that are hashed at one time after the start. */
export const ADOPT_PARALLEL = 2
/** ms that the database waits for a lock of another process (a backup, a person's sqlite3). */
export const DATABASE_BUSY_MS = 5_000
/** Prepared statements kept; the code has fewer, so it only stops a leak. */
export const MAX_PREPARED_STATEMENTS = 256
/** Releases kept for one channel: a publisher who signs one a minute fills it in 17 hours, then the oldest go. */
export const MAX_RELEASES_PER_CHANNEL = 1_000
/** Heads kept that contradict the first one of their release number: proof enough, and no more than that. */
export const MAX_CONFLICTS_PER_RELEASE = 3
/** Bytes of a key file, or of a key in words (some 1,000): refuses to read what cannot be one. */
export const MAX_KEY_FILE_BYTES = 4_096

// rpc

/** Bytes of a request body. The largest legal call is a few KiB; batches hold fifty. */
export const MAX_RPC_BODY_BYTES = 1_048_576
/** Calls in one batch: they run one after the other, so one caller cannot start more at once. */
export const MAX_RPC_BATCH = 50
/** Connections to the RPC server; 9 KiB each while idle, and more are closed at once. */
export const MAX_RPC_CONNECTIONS = 1_024
/** ms for the head of a request to arrive. */
export const RPC_HEADERS_TIMEOUT_MS = 5_000
/** ms for a whole request, body included, to arrive. Answers may take as long as the work does. */
export const RPC_REQUEST_TIMEOUT_MS = 10_000
/** ms that an idle connection is kept open for the next request. */
export const RPC_KEEP_ALIVE_MS = 5_000
/** Bytes of a refused body that are thrown away, so that the refusal can be read before the connection closes. */
export const RPC_LINGER_BYTES = 4_194_304
/** ms for that, since a client that sends slowly would hold its connection for ever. */
export const RPC_LINGER_MS = 2_000
/** ms between two looks at the node while somebody listens to events. */
export const EVENT_LOOK_MS = 1_000
/** ms that the feed goes on after the last listener has gone: a page that is loaded again, a line that broke. */
export const EVENT_IDLE_MS = 60_000
/** Events that are kept for who comes again: some minutes of a busy node, 1 KiB each. */
export const MAX_KEPT_EVENTS = 1_024
/** Those who listen to events at a time; as many again may be about to show their token. */
export const MAX_EVENT_STREAMS = 64
/** ms in which a WebSocket shows its token. */
export const EVENT_AUTH_MS = 5_000
/** ms between signs of life on a stream of events; so long a token that has ended goes on. */
export const EVENT_HEARTBEAT_MS = 15_000
/** Bytes that wait for who does not read: more than all that there is to tell, once. */
export const MAX_EVENT_BACKLOG_BYTES = 8_388_608
/** Bytes of a message on a WebSocket: a token and an id. */
export const MAX_EVENT_MESSAGE_BYTES = 4_096
/** ms for which a one-time code for the web page is good: for a link to be pasted into a browser. */
export const SIGN_IN_CODE_MS = 60_000
/** Codes that wait to be used at a time; the oldest is forgotten. */
export const MAX_SIGN_IN_CODES = 8
/** ms for which the token of a web page that has signed in is good: a day's work. */
export const SIGN_IN_TOKEN_MS = 43_200_000
/** Tokens of web pages at a time, since they stand in memory; the oldest is forgotten. */
export const MAX_SIGN_IN_TOKENS = 64
/** Bytes of the body that signs in: a code. */
export const MAX_SIGN_IN_BODY_BYTES = 256
/** Wrong codes in a minute that are told apart from too many: no one guesses 256 bits, and this costs us no more. */
export const SIGN_IN_TRIES_PER_MINUTE = 30
/** Bytes of the web page in all, which stands in memory; an onion of Tor brings it in a few seconds. */
export const MAX_PAGE_BYTES = 200_000
/** Long calls that run at a time. */
export const MAX_RUNNING_JOBS = 64
/** Ended jobs that can still be asked for; the oldest is forgotten. */
export const MAX_KEPT_JOBS = 200
/** Files read over HTTP at a time: each holds an opened chunk of 1 MiB and up to READ_AHEAD_BLOBS requests. */
export const MAX_FILE_READERS = 32
/** ms for the first bytes of a file; then the answer is 504. A peer has to be found and to give a blob. */
export const FILE_FIRST_BYTE_MS = 60_000
/** ms in which a byte must go out while a file is read: a paused player asks again by range. */
export const FILE_STALL_MS = 600_000
/** Children of a folder in one answer: some 1 MB of JSON. */
export const MAX_LISTED_CHILDREN = 10_000

// node

/** Access keys in all: a row of 200 bytes each, and all hashes stand in memory. */
export const MAX_ACCESS_KEYS = 1_000
/** ms for the doctor to reach a proxy: they are on this machine or the next. */
export const DOCTOR_DIAL_MS = 5_000
/** Open files that a busy node may want: connections, blobs, files that are read. */
export const MIN_OPEN_FILES = 4_096
/** Bytes above `--min-free` below which the doctor warns. */
export const MIN_FREE_WARNING_BYTES = 1_073_741_824
/** ms for systemd-notify, which waits until its manager has read. */
export const SYSTEMD_NOTIFY_MS = 5_000
/** Named tokens in all: as access keys, and a name is looked for in all of them. */
export const MAX_TOKENS = 1_000
/** ms for the manifest of a release whose file is asked for over HTTP. */
export const FILE_MANIFEST_MS = 60_000
/** ms in which accepted ephemeral keys are gathered into one write. */
export const EPHEMERAL_FLUSH_MS = 250
/** ms in which it is gathered by which channels blobs came, in safe mode: one write a second. */
export const ORIGIN_FLUSH_MS = 1_000
/** Ephemeral keys read back at a start: a few hours of a busy node. */
export const MAX_REMEMBERED_EPHEMERALS_LOADED = 65_536

// channels

/** ms after which a head of ours is signed again, so that others see that its publisher is there. 1 MiB of slots follows to each reader: at 30 days 4 MB a day for 100 channels. */
export const HEAD_REFRESH_MS = 2_592_000_000
/** ms, least random time between two looks whether that is due, and before the first: until then we know whether there is a newer head. */
export const HEAD_REFRESH_LOOK_MIN_MS = 600_000
/** ms, longest such time: channels of one node are not signed again at one moment, which would link them. */
export const HEAD_REFRESH_LOOK_MAX_MS = 3_600_000
/** ms without a new signature after which readers are told that the publisher may be gone: a refresh, and as long again by half. */
export const PUBLISHER_SILENT_MS = 3_888_000_000

/** Parts of a manifest fetched ahead of the one being judged: 1 MiB of memory each, and what a bad one makes us fetch in vain. */
export const MANIFEST_PARTS_IN_FLIGHT = 8
/** Blobs of a bundle that a worker hashes in one task: some 15 ms, so that nobody waits long behind it. */
export const BUNDLE_BLOBS_PER_TASK = 16
/** Blobs of a bundle being read, or taken into the store, at a time: 1 MiB of memory each. */
export const BUNDLE_BLOBS_IN_FLIGHT = 8
/** Bytes written to a staged file after which it is synced while more comes. */
export const SYNC_AHEAD_BYTES = 67_108_864
/** Pieces of one blob that are written as it comes: more are written from the store, in turns. */
export const MAX_PLACED_PIECES = 4_096
/** Bytes that one task writes into files: a manifest may say that one blob fills many, and others wait for the worker. */
export const MAX_ASSEMBLE_TASK_BYTES = 67_108_864
/** Blobs asked for ahead of who reads a file: a second's worth at 8 MB/s. They lie in the store, not in memory. */
export const READ_AHEAD_BLOBS = 8
/** Characters of one pattern of wanted paths. */
export const MAX_GLOB_CHARACTERS = 1_024
/** `**` in one pattern: a path of 4,096 bytes costs some 20 ms with two, and seconds with three. */
export const MAX_GLOB_GLOBSTARS = 2
/** `*` in one part of a pattern: a name of 255 bytes costs some 20 ms with three, and seconds with four. */
export const MAX_GLOB_STARS_A_PART = 3
/** ms between two tries to put a head that nobody has confirmed. */
export const PUT_RETRY_MS = 2_000
/** ms that `publish` waits for the first confirmation unless told otherwise. */
export const PUBLISH_TIMEOUT_MS = 60_000
/** ms between two looks for a channel of which no head is known; the first waits, then doubling. */
export const LOOK_FIRST_MS = 1_000
/** ms at most between two such looks. */
export const LOOK_MAX_MS = 60_000
/** ms at most between two such looks through gateways, which are others' machines: a look is five connections. */
export const LOOK_GATEWAY_MAX_MS = 300_000
/** ms without a blob before more peers are looked for. */
export const LOOK_QUIET_MS = 10_000
/** ms without a blob before a subscription counts as stalled. */
export const STALLED_MS = 30_000
/** ms before a subscription that failed is tried again. */
export const FAILED_RETRY_MS = 30_000
/** Blobs being hashed at a time by `verify`. */
export const VERIFY_IN_FLIGHT = 8
/** ms that `verify` waits for bad blobs to come again. */
export const VERIFY_REPAIR_MS = 60_000
/** ms that it waits while no connected peer says that it has any of them. */
export const VERIFY_UNOFFERED_MS = 4_000
/** ms from one look at what peers have to the next, while it waits. */
export const VERIFY_LOOK_MS = 500
/** ms for which an ingest that nobody published is kept: a week, then its blobs are garbage. */
export const INGEST_KEEP_MS = 604_800_000
/** ms for which the release before the newest is kept: who has not heard of the newest within a day will not fetch the old one either. */
export const PREVIOUS_RELEASE_KEEP_MS = 86_400_000
/** Blobs removed at least when a limit is reached: each time costs a look at every blob. */
export const MIN_ROOM_BLOBS = 64
/** Blobs removed at most when a limit is reached; twice as many ids are in memory meanwhile. */
export const MAX_ROOM_BLOBS = 16_384
/** Share of the held blobs that is removed when a limit is reached. */
export const ROOM_SHARE = 0.05
/** ms in which no more room is looked for after none was found, nor what is needed counted again: a full store would do nothing else. */
export const COLLECT_RETRY_MS = 10_000
/** Bytes of a passphrase file: a line that people type. */
export const MAX_SECRET_FILE_BYTES = 4_096
