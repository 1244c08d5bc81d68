import "../devices/devices.css";
import { DeviceDetail } from "../devices/detail.jsx";
import { DeviceList } from "../devices/list.jsx";

/** #/devices, #/devices/<name>, #/devices/<name>/<space> */
export function Devices({ rest: [name, space] }) {
  return <div class="devices">{name ? <DeviceDetail key={name} name={name} space={space} /> : <DeviceList />}</div>;
}
