/**
 * Signing in: by the link, or by a token that is pasted.
 *
 * @module web/views/sign-in
 */
import { useEffect, useId, useState } from 'preact/hooks'
import { Text } from '../parts/text.tsx'

interface SignInProps {
  readonly isBusy: boolean
  readonly problem: string | null
  readonly onToken: (token: string) => Promise<void>
}

export function SignIn({ isBusy, problem, onToken }: SignInProps) {
  const [token, setToken] = useState('')
  const id = useId()
  useEffect(() => {
    document.title = 'Sign in - Megatorrent'
  }, [])
  return (
    <main class="sign-in">
      <h1>Megatorrent</h1>
      <p>
        Run <code>megatorrent web</code> where the daemon runs, and open the link that it prints. It works
        once, for a minute.
      </p>
      <form
        aria-label="Sign in"
        onSubmit={(event) => {
          event.preventDefault()
          void onToken(token.trim())
        }}
      >
        <div class="field">
          <label for={id}>Or paste a token</label>
          <input
            id={id}
            type="password"
            autocomplete="off"
            required
            value={token}
            onInput={(event) => setToken(event.currentTarget.value)}
            aria-describedby={`${id}-hint`}
          />
          <p class="hint" id={`${id}-hint`}>
            One of <code>megatorrent token create</code>, or what is in the file rpc.cookie. It stays in this
            tab.
          </p>
        </div>
        <p class="buttons">
          <button type="submit" class="main" disabled={isBusy}>
            {isBusy ? 'One moment...' : 'Sign in'}
          </button>
        </p>
      </form>
      <p role="alert" class="bad">
        {problem !== null && <Text of={problem} />}
      </p>
    </main>
  )
}
