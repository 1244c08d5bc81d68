import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { getJson, postJson } from "../api.js";
import { useLoaded } from "../use_loaded.js";
import { bodyOf, errorsByField, formOf, kindsOf } from "./contract_form.js";
import { FormField, Prose } from "./form_field.jsx";

async function loadContract(signal) {
  const [contract, { spaces }, { devices }] = await Promise.all(
    ["/openapi.json", "/v1/spaces", "/v1/devices"].map((address) => getJson(address, { signal })),
  );
  return { contract, known: { SpaceName: spaces.map((one) => one.name), DeviceName: devices.map((one) => one.name) } };
}

/** A key that nobody else draws; crypto.randomUUID() is there in secure contexts alone. */
function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The key of a submission: the same again as long as its body is, so that one whose answer was lost is not made twice. */
function useKey() {
  const last = useRef({});
  return (body) => {
    const text = JSON.stringify(body);
    if (last.current.text !== text) {
      last.current = { text, key: newKey() };
    }
    return last.current.key;
  };
}

function Fields({ title, fields, entered, errors, known, onInput }) {
  return (
    <fieldset class="fields">
      <legend>{title}</legend>
      {fields.map((field) => (
        <FormField key={field.pointer} field={field} value={entered[field.pointer]} errors={errors[field.pointer]}
          known={known[field.names]} onInput={(value) => onInput(field.pointer, value)} />
      ))}
    </fieldset>
  );
}

function KindForm({ contract, known, kind, onSubmitted }) {
  const { about, common, own } = useMemo(() => formOf(contract, kind), [contract, kind]);
  const fields = [...common, ...own];
  const [entered, setEntered] = useState({ "/search_space": known.SpaceName[0] ?? "" });
  const [errors, setErrors] = useState({});
  const [isSending, setSending] = useState(false);
  const keyFor = useKey();
  const form = useRef(null);

  useEffect(() => {
    form.current.querySelector("[aria-invalid]")?.focus();
  }, [errors]);

  const submit = async (event) => {
    event.preventDefault();
    const { body, errors: wrong } = bodyOf(kind, fields, entered);
    if (wrong.length) {
      setErrors(errorsByField(fields, wrong));
      return;
    }
    setSending(true);
    try {
      const job = await postJson("/v1/jobs", body, { headers: { "Idempotency-Key": keyFor(body) } });
      onSubmitted(job);
    } catch (error) {
      const told = error.errors?.length ? error.errors : [{ pointer: "", detail: error.message }];
      setErrors(errorsByField(fields, told));
      setSending(false);
    }
  };
  const shared = { entered, errors, known, onInput: (pointer, value) => setEntered((all) => ({ ...all, [pointer]: value })) };
  return (
    <form ref={form} onSubmit={submit} noValidate aria-label={`Job ${kind}`}>
      <p class="muted"><Prose text={about ?? ""} /></p>
      <Fields title="Of every job" fields={common} {...shared} />
      <Fields title={`Of ${kind}`} fields={own} {...shared} />
      <div role="alert" class="error">
        {errors[""]?.map((text) => <p key={text}>{text}</p>)}
        {Object.keys(errors).some((pointer) => pointer) && <p>Nothing was submitted: see the fields that are marked.</p>}
      </div>
      <div class="buttons">
        <button type="submit" disabled={isSending}>Submit</button>
        <a class="button plain" href="#/jobs">Back to the list</a>
      </div>
    </form>
  );
}

/** #/jobs/new: any job that the contract knows. */
export function SubmitForm() {
  const { value, error } = useLoaded(loadContract, []);
  const [kind, setKind] = useState(null);
  if (!value) {
    return error ? <p class="error" role="alert">{error.message}</p> : <p class="muted">Loading…</p>;
  }
  const kinds = kindsOf(value.contract);
  const chosen = kind ?? kinds[0];
  return (
    <section class="panel">
      <fieldset class="job-boxes">
        <legend>Kind</legend>
        {kinds.map((one) => (
          <label key={one}>
            <input type="radio" name="kind" value={one} checked={one === chosen} onChange={() => setKind(one)} /> {one}
          </label>
        ))}
      </fieldset>
      <KindForm key={chosen} {...value} kind={chosen} onSubmitted={(job) => { location.hash = `#/jobs/${job.id}`; }} />
    </section>
  );
}
