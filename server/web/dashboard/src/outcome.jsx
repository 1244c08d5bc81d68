/** What came of the last thing that was done here, told aloud, too: {done: sentence} or {error: Error}, or null. */
export function Outcome({ of }) {
  return (
    <>
      <p role="status" class="outcome">{of?.done}</p>
      <div role="alert" class="error outcome">{of?.error && <p>{of.error.message}</p>}</div>
    </>
  );
}
