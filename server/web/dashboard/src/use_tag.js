import { useEffect, useRef } from "preact/hooks";

/** A ref to the ETag of what the page shows: what was loaded last, until a write puts the one of its reply there. */
export function useTag(loaded) {
  const tag = useRef(loaded);
  useEffect(() => {
    tag.current = loaded;
  }, [loaded]);
  return tag;
}
