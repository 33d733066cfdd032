/**
 * A question before something that cannot be taken back. The browser's own dialog: it keeps
 * the focus in, gives it back, and Escape says no.
 *
 * @module web/parts/dialog
 */
import type { ComponentChildren } from 'preact'
import { useEffect, useId, useRef } from 'preact/hooks'

interface DialogProps {
  readonly title: string
  /** What the button that says yes is called. */
  readonly yes: string
  readonly onYes: () => void
  readonly onNo: () => void
  readonly children: ComponentChildren
}

export function Dialog({ title, yes, onYes, onNo, children }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null)
  const id = useId()
  useEffect(() => dialog.current?.showModal(), [])
  return (
    <dialog ref={dialog} aria-labelledby={id} onClose={onNo}>
      <h2 id={id}>{title}</h2>
      {children}
      <p class="buttons">
        <button type="button" class="danger" onClick={onYes}>
          {yes}
        </button>
        <button type="button" onClick={() => dialog.current?.close()}>
          Cancel
        </button>
      </p>
    </dialog>
  )
}
