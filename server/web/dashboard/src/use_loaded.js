import { useCallback, useEffect, useState } from "preact/hooks";

/**
 * What `load(abort signal)` gives, again whenever one of `inputs` changes or reload() is called:
 * {value, error, isLoading, reload}. The last value stays until the next one is there.
 */
export function useLoaded(load, inputs) {
  const [round, setRound] = useState(0);
  const [state, setState] = useState({ value: null, error: null, isLoading: true });
  useEffect(() => {
    const abort = new AbortController();
    const settle = (next) => abort.signal.aborted || setState({ value: null, error: null, isLoading: false, ...next });
    setState((last) => ({ ...last, isLoading: true }));
    load(abort.signal).then(
      (value) => settle({ value }),
      (error) => settle({ error }),
    );
    return () => abort.abort();
  }, [...inputs, round]);
  const reload = useCallback(() => setRound((n) => n + 1), []);
  return { ...state, reload };
}
