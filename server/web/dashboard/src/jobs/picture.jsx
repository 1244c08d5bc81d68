import { useEffect, useState } from "preact/hooks";
import { request } from "../api.js";

function dataUrlOf(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}

/** A picture of the result tree. An address alone would not do: a token goes with requests, not with addresses of images. */
export function Picture({ address, alt }) {
  const [shown, setShown] = useState({});
  useEffect(() => {
    const stop = new AbortController();
    const show = (one) => { if (!stop.signal.aborted) { setShown(one); } };
    request(address, { signal: stop.signal })
      .then((response) => response.blob())
      .then(dataUrlOf)
      .then((url) => show({ url }), (error) => show({ error }));
    return () => stop.abort();
  }, [address]);
  if (shown.error) {
    return <p class="error" role="alert">{shown.error.message}</p>;
  }
  return shown.url ? <img class="job-picture" src={shown.url} alt={alt} /> : null;
}
