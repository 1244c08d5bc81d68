import { useEffect, useRef } from "preact/hooks";
import { tokenQuestion } from "./api.js";

/** Asks for the token where a request needs one; what waits goes on with the answer. */
export function TokenDialog() {
  const dialog = useRef(null);
  const question = tokenQuestion.value;
  useEffect(() => {
    if (question && !dialog.current.open) {
      dialog.current.showModal();
    }
  }, [question]);
  if (!question) {
    return null;
  }
  const answer = (token) => {
    dialog.current.close();
    question.answer(token);
  };
  return (
    <dialog ref={dialog} aria-labelledby="token-title" onCancel={(event) => { event.preventDefault(); answer(null); }}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          answer(new FormData(event.target).get("token").trim());
        }}
      >
        <h2 id="token-title">This service wants a token</h2>
        <p>{question.reason}. It is kept for this tab only.</p>
        <label>
          Token
          <input name="token" type="password" autocomplete="off" required autofocus />
        </label>
        <div class="buttons">
          <button type="button" class="plain" onClick={() => answer(null)}>Cancel</button>
          <button type="submit">Go on</button>
        </div>
      </form>
    </dialog>
  );
}
