export function Devices() {
  return <h1>Devices</h1>;
}
