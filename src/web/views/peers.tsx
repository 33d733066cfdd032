/**
 * Who this node is connected to, and who it does not talk to.
 *
 * @module web/views/peers
 */
import { useEffect, useState } from 'preact/hooks'
import { formatBytes, formatTime } from '../../base/format.ts'
import { useNode, type ViewProps } from '../context.ts'
import { clockText, peerName } from '../format.ts'
import { Field, Form, useBusy } from '../parts/form.tsx'
import { Key, Text } from '../parts/text.tsx'
import type { Ban, Peer } from '../state.ts'

/** ms between two looks at the counters while they are in view: events do not tell of them. */
const LOOK_MS = 3_000

export function PeersView({ node }: ViewProps) {
  const refresh = useRefresh()
  useEffect(() => {
    const timer = setInterval(refresh, LOOK_MS)
    return () => clearInterval(timer)
  }, [refresh])
  return (
    <>
      <PeerTable peers={node.peers} onChange={refresh} />
      {node.bans.length > 0 && <BanTable bans={node.bans} onChange={refresh} />}
      <NewPeer onChange={refresh} />
    </>
  )
}

function useRefresh(): () => void {
  const { call, dispatch } = useNode()
  const [refresh] = useState(() => () => {
    call('getPeers', {}).then(
      ({ peers, bans }) => dispatch({ type: 'part', part: { peers, bans } }),
      () => {}, // the line is lost: the head of the page says so
    )
  })
  return refresh
}

function PeerTable({ peers, onChange }: { readonly peers: readonly Peer[]; readonly onChange: () => void }) {
  const { call } = useNode()
  const { isBusy, run } = useBusy()
  if (peers.length === 0) return <p>No peers at the moment.</p>
  const onBan = (nodeKey: string): void =>
    run(async () => {
      await call('banPeer', { nodeKey })
      onChange()
    })
  return (
    <section class="table-frame" aria-label="Connected peers" tabIndex={0}>
      <table>
        <caption>Connected peers</caption>
        <thead>
          <tr>
            <th scope="col">Node key</th>
            <th scope="col">Address</th>
            <th scope="col">Direction</th>
            <th scope="col">Since</th>
            <th scope="col" class="number">
              Received
            </th>
            <th scope="col" class="number">
              Sent
            </th>
            <th scope="col">Action</th>
          </tr>
        </thead>
        <tbody>
          {peers.map((peer) => (
            <tr key={peerName(peer)}>
              <td>{peer.nodeKey === null ? 'unknown' : <Key of={peer.nodeKey} />}</td>
              <td class="wrap">
                <Text of={peer.address ?? 'unknown'} />
              </td>
              <td>{peer.direction}</td>
              <td>{clockText(peer.since)}</td>
              <td class="number">{formatBytes(peer.bytesIn)}</td>
              <td class="number">{formatBytes(peer.bytesOut)}</td>
              <td>
                {peer.nodeKey !== null && (
                  <button
                    type="button"
                    disabled={isBusy}
                    aria-label={`Ban ${peer.nodeKey.slice(0, 12)}`}
                    onClick={() => onBan(peer.nodeKey ?? '')}
                  >
                    Ban
                  </button>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  )
}

function BanTable({ bans, onChange }: { readonly bans: readonly Ban[]; readonly onChange: () => void }) {
  const { call } = useNode()
  const { isBusy, run } = useBusy()
  const onUnban = ({ nodeKey, address }: Ban): void =>
    run(async () => {
      await call('unbanPeer', nodeKey === null ? { address: address ?? '' } : { nodeKey })
      onChange()
    })
  return (
    <section class="table-frame" aria-label="Banned" tabIndex={0}>
      <table>
        <caption>Banned</caption>
        <thead>
          <tr>
            <th scope="col">Who</th>
            <th scope="col">Until</th>
            <th scope="col">Reason</th>
            <th scope="col">Action</th>
          </tr>
        </thead>
        <tbody>
          {bans.map((ban) => (
            <tr key={`${ban.nodeKey} ${ban.address}`}>
              <td class="wrap">
                {ban.nodeKey === null ? <Text of={ban.address ?? ''} /> : <Key of={ban.nodeKey} />}
              </td>
              <td>{ban.until === null ? 'you lift it' : formatTime(ban.until)}</td>
              <td class="wrap">
                <Text of={ban.reason} />
              </td>
              <td>
                <button
                  type="button"
                  disabled={isBusy}
                  aria-label={`Lift the ban of ${ban.nodeKey?.slice(0, 12) ?? ban.address}`}
                  onClick={() => onUnban(ban)}
                >
                  Lift
                </button>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  )
}

function NewPeer({ onChange }: { readonly onChange: () => void }) {
  const { call, say } = useNode()
  const [address, setAddress] = useState('')
  const onSend = async (): Promise<void> => {
    await call('addPeer', { address: address.trim() })
    setAddress('')
    say('It is dialled, and dialled again, until the daemon stops.')
    onChange()
  }
  return (
    <section class="card">
      <h2>Add a peer</h2>
      <Form label="Add a peer" send="Connect" onSend={onSend}>
        <Field label="Address" hint="NODEKEY@HOST:PORT" value={address} onValue={setAddress} isRequired />
      </Form>
    </section>
  )
}
