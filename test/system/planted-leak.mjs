/**
 * Loaded into a node by `--import`: what a careless library would do. Which of them: PLANTED_LEAK in the
 * environment, which the test alone sets.
 */
import dgram from 'node:dgram'
import dns from 'node:dns'
import net from 'node:net'

const LEAKS = {
  name: () => dns.lookup('leak.example', () => {}),
  datagram: () => {
    const socket = dgram.createSocket('udp4')
    socket.send('leak', 6881, '192.0.2.1', () => socket.close())
  },
  connection: () => net.connect(7117, '192.0.2.1').on('error', () => {}),
  ipv6: () => net.connect(7117, '2001:db8::1').on('error', () => {}),
  loopback: () => net.connect(9051, '127.0.0.1').on('error', () => {}),
}

setTimeout(LEAKS[process.env.PLANTED_LEAK], 0)
