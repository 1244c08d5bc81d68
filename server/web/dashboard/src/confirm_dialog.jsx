import { useEffect, useRef } from "preact/hooks";

/** Asks before something is done that is not undone by itself. Closing the dialog in any other way is a no. */
export function ConfirmDialog({ title, children, action, refusal = "Cancel", onAnswer }) {
  const dialog = useRef(null);
  useEffect(() => {
    dialog.current.showModal();
  }, []);
  const answer = (isYes) => {
    dialog.current.close(); // gives the focus back
    onAnswer(isYes);
  };
  return (
    <dialog ref={dialog} aria-labelledby="confirm-title" onCancel={(event) => { event.preventDefault(); answer(false); }}>
      <h2 id="confirm-title">{title}</h2>
      {children}
      <div class="buttons">
        <button type="button" class="plain" autofocus onClick={() => answer(false)}>{refusal}</button>
        <button type="button" onClick={() => answer(true)}>{action}</button>
      </div>
    </dialog>
  );
}
