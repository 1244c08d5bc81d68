import { HARDWARE, refusalOf, sheetOf } from "./sheet.js";

function Field({ name, label, unit, error, ...input }) {
  const refusal = refusalOf(error, name);
  return (
    <label>
      {label}{unit && <>, {unit}</>}
      <input name={name} aria-invalid={refusal ? "true" : undefined} aria-describedby={refusal ? `refused-${name}` : undefined} {...input} />
      {refusal && <span class="error" id={`refused-${name}`}>{refusal}</span>}
    </label>
  );
}

/**
 * The four numbers and what else stands in a data sheet. `device` is what is there already, or null for a new one, which
 * is asked its name. `error` is what the last onSave(name, sheet) was refused with.
 */
export function SheetForm({ device, error, onSave, children }) {
  const submit = (event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    onSave(device ? device.name : form.get("name").trim(), sheetOf(form));
  };
  return (
    <form onSubmit={submit}>
      <div class="fields">
        {!device && <Field name="name" label="Name" required maxLength={127} autocomplete="off" />}
        {HARDWARE.map(([name, label, unit]) => (
          <Field key={name} name={name} label={label} unit={unit} error={error} type="number" step="any" required
            defaultValue={device?.hardware?.[name] ?? ""} />
        ))}
        <Field name="chip" label="System on a chip" error={error} defaultValue={device?.chip ?? ""} />
        <Field name="source" label="Where the numbers are from" error={error} defaultValue={device?.source ?? ""} />
      </div>
      <label class="check">
        <input type="checkbox" name="estimated" defaultChecked={device?.estimated ?? false} /> A number is estimated rather than looked up
      </label>
      <div class="buttons">
        <button type="submit">Save the sheet</button>
        {children}
      </div>
    </form>
  );
}
