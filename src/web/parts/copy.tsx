/**
 * A link to be handed on: whole, selectable, copied by a button.
 *
 * @module web/parts/copy
 */
import { useId, useRef } from 'preact/hooks'
import { useNode } from '../context.ts'

export function CopyLine({ label, text }: { readonly label: string; readonly text: string }) {
  const id = useId()
  const field = useRef<HTMLInputElement>(null)
  const { say } = useNode()
  const onCopy = async (): Promise<void> => {
    field.current?.select()
    // Browsers have a clipboard for loopback and https alone: over an onion the selection is what there is.
    const isCopied = await copy(text)
    say(isCopied ? `${label}: copied.` : `${label}: selected. Press Ctrl+C to copy.`)
  }
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <div class="row">
        <input id={id} ref={field} type="text" readOnly value={text} />
        <button type="button" onClick={() => void onCopy()} aria-label={`Copy: ${label}`}>
          Copy
        </button>
      </div>
    </div>
  )
}

async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    return false // there is none, or it was refused
  }
}
