/**
 * Fields with their labels, and a form that can be sent once at a time.
 *
 * @module web/parts/form
 */
import type { ComponentChildren } from 'preact'
import { useId, useState } from 'preact/hooks'
import { useNode } from '../context.ts'

interface FieldProps {
  readonly label: string
  readonly value: string
  readonly onValue: (value: string) => void
  readonly hint?: string
  readonly isRequired?: boolean
  readonly isLong?: boolean
  readonly isNumber?: boolean
}

export function Field({ label, value, onValue, hint, isRequired, isLong, isNumber }: FieldProps) {
  const id = useId()
  const shared = {
    id,
    value,
    required: isRequired === true,
    autocomplete: 'off',
    spellcheck: false,
    onInput: (event: { readonly currentTarget: { readonly value: string } }) =>
      onValue(event.currentTarget.value),
    ...(hint === undefined ? {} : { 'aria-describedby': `${id}-hint` }),
  }
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {isLong === true ? (
        <textarea rows={3} {...shared} />
      ) : (
        <input type="text" inputMode={isNumber === true ? 'decimal' : 'text'} {...shared} />
      )}
      {hint !== undefined && (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
    </div>
  )
}

interface CheckProps {
  readonly label: string
  readonly isOn: boolean
  readonly onChange: (isOn: boolean) => void
}

export function Check({ label, isOn, onChange }: CheckProps) {
  return (
    <label class="check">
      <input type="checkbox" checked={isOn} onChange={(event) => onChange(event.currentTarget.checked)} />
      {label}
    </label>
  )
}

interface FormProps {
  readonly label: string
  readonly send: string
  /** Rejects with what is to be shown. */
  readonly onSend: () => Promise<void>
  readonly children: ComponentChildren
}

export function Form({ label, send, onSend, children }: FormProps) {
  const { isBusy, run } = useBusy()
  return (
    <form
      aria-label={label}
      onSubmit={(event) => {
        event.preventDefault()
        run(onSend)
      }}
    >
      {children}
      <p class="buttons">
        <button type="submit" class="main" disabled={isBusy}>
          {isBusy ? 'One moment...' : send}
        </button>
      </p>
    </form>
  )
}

/** One thing at a time; what goes wrong is shown. */
export function useBusy(): { readonly isBusy: boolean; readonly run: (work: () => Promise<void>) => void } {
  const { complain } = useNode()
  const [isBusy, setBusy] = useState(false)
  const run = (work: () => Promise<void>): void => {
    if (isBusy) return
    setBusy(true)
    work()
      .catch(complain)
      .finally(() => setBusy(false))
  }
  return { isBusy, run }
}
