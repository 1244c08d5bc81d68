/** Text of the contract: what it has in backticks is code. */
export function Prose({ text }) {
  return text.split("`").map((part, i) => (i % 2 ? <code key={i}>{part}</code> : part));
}

function told(value) {
  return value === undefined ? "" : typeof value === "string" ? value : JSON.stringify(value);
}

/** "several" has a box for each choice: nothing is sent until one is touched. */
function Boxes({ field, value, onInput, described }) {
  const chosen = value ?? field.default ?? [];
  const toggle = (choice) => onInput(field.choices.filter((one) => chosen.includes(one) !== (one === choice)));
  return (
    <fieldset class="job-boxes" {...described}>
      <legend>{field.name}</legend>
      {field.choices.map((choice) => (
        <label key={choice}>
          <input type="checkbox" checked={chosen.includes(choice)} onChange={() => toggle(choice)} /> {choice}
        </label>
      ))}
    </fieldset>
  );
}

function Choice({ field, value, onInput, ...rest }) {
  return (
    <select value={value ?? ""} onChange={(event) => onInput(event.target.value)} {...rest}>
      <option value="">{field.default === undefined ? "not given" : `${told(field.default)} (default)`}</option>
      {field.choices.map((choice) => <option key={told(choice)} value={JSON.stringify(choice)}>{told(choice)}</option>)}
    </select>
  );
}

function Area({ field, value, onInput, ...rest }) {
  return (
    <textarea rows={3} spellcheck={false} value={value ?? ""} placeholder={told(field.default)}
      onInput={(event) => onInput(event.target.value)} {...rest} />
  );
}

function Line({ field, value, onInput, known, ...rest }) {
  const list = known?.length ? `${rest.id}-known` : undefined;
  return (
    <>
      <input type="text" inputMode={{ integer: "numeric", number: "decimal" }[field.control]} autocomplete="off" list={list}
        spellcheck={false} value={value ?? ""} placeholder={told(field.default)}
        onInput={(event) => onInput(event.target.value)} {...rest} />
      {list && <datalist id={list}>{known.map((name) => <option key={name} value={name} />)}</datalist>}
    </>
  );
}

const CONTROLS = { choice: Choice, lines: Area, json: Area, integer: Line, number: Line, text: Line };

/** A field of the form: its control, its help, and what is wrong with it. `known`: names to choose from. */
export function FormField({ field, value, errors, known, onInput }) {
  const id = `field${field.pointer.replaceAll("/", "-")}`;
  const Control = CONTROLS[field.control];
  const described = {
    "aria-describedby": `${id}-help${errors ? ` ${id}-error` : ""}`,
    "aria-invalid": errors ? "true" : undefined,
  };
  return (
    <div class={`job-field${errors ? " wrong" : ""}`}>
      {field.control === "several" ? (
        <Boxes field={field} value={value} onInput={onInput} described={{ "aria-describedby": described["aria-describedby"] }} />
      ) : (
        <>
          <label for={id}>{field.name}{field.isRequired && " (needed)"}</label>
          <Control id={id} field={field} value={value} onInput={onInput} known={known}
            required={field.isRequired} {...described} />
        </>
      )}
      {errors && <p class="error" id={`${id}-error`}>{errors.join("; ")}</p>}
      <p class="help" id={`${id}-help`}><Prose text={field.help} /></p>
    </div>
  );
}
