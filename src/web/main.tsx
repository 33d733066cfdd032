/**
 * Where the page begins.
 *
 * @module web/main
 */
import { render } from 'preact'
import { App } from './app.tsx'
import { takeCode } from './session.ts'

const place = { location, history, storage: sessionStorage }
const code = takeCode(place)
const root = document.getElementById('app')
if (root !== null) render(<App place={place} code={code} />, root)
