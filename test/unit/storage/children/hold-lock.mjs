// Locks the data folder named by the first argument, says so, and holds it until stdin ends or it is killed.
import { lockDataFolder } from '../../../../dist/src/storage/data-lock.js'

try {
  const lock = lockDataFolder(process.argv[2], process.pid)
  process.stdout.write('locked\n')
  process.stdin.on('end', () => {
    lock.release()
    process.stdout.write('released\n')
  })
  process.stdin.resume()
} catch (error) {
  process.stdout.write(`${error.code} ${error.message}\n`)
}
