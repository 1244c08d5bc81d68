"""What Kubernetes' schemas do not say of a set of manifests: Pod Security's standard "restricted", that what
belongs together fits, and good practice. A rule is a generator of complaints; RULES holds all of them by name."""

RULES = {}
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
NOT_IN_A_NAMESPACE = {"Namespace"}


def rule(function):
    RULES[function.__name__] = function
    return function


def complaints(objects):
    """(name of the rule, what is wrong) of all rules."""
    return [(name, str(said)) for name, check in RULES.items() for said in check(objects)]


def of_kind(objects, *kinds):
    return [o for o in objects if o["kind"] in kinds]


def only(objects, kind):
    (found,) = of_kind(objects, kind)
    return found


def pods(objects):
    """(workload, pod's spec)"""
    return [(o, o["spec"]["template"]["spec"]) for o in of_kind(objects, "Deployment")]


def containers(objects):
    """(pod's spec, container)"""
    return [(pod, c) for _, pod in pods(objects) for c in pod["containers"] + pod.get("initContainers", [])]


def selects(selector, workload):
    labels = workload["spec"]["template"]["metadata"]["labels"]
    return selector.items() <= labels.items()


# ---- Pod Security, restricted ----------------------------------------------------------------------------


@rule
def pods_share_nothing_with_their_node(objects):
    for _, pod in pods(objects):
        yield from (key for key in ("hostNetwork", "hostPID", "hostIPC", "hostUsers") if pod.get(key))
        yield from (v["name"] for v in pod.get("volumes", []) if not (set(v) - {"name"}) <= VOLUMES)
        yield from pod.get("securityContext", {}).get("sysctls", [])
    for _, container in containers(objects):
        yield from (p for p in container.get("ports", []) if "hostPort" in p or "hostIP" in p)


@rule
def containers_have_no_privileges(objects):
    for _, container in containers(objects):
        security = container.get("securityContext", {})
        if security.get("privileged") or security.get("allowPrivilegeEscalation") is not False:
            yield "privileges"
        if security.get("capabilities") != {"drop": ["ALL"]}:
            yield "capabilities"
        if security.get("procMount", "Default") != "Default":
            yield "procMount"


@rule
def containers_are_not_root(objects):
    for pod, container in containers(objects):
        security = pod.get("securityContext", {}) | container.get("securityContext", {})
        if security.get("runAsNonRoot") is not True or not security.get("runAsUser", 0) >= 10000:
            yield "runAsNonRoot, runAsUser"
        if security.get("runAsGroup", 0) == 0:
            yield "runAsGroup"


@rule
def system_calls_are_filtered(objects):
    for pod, container in containers(objects):
        security = pod.get("securityContext", {}) | container.get("securityContext", {})
        if security.get("seccompProfile") != {"type": "RuntimeDefault"}:
            yield "seccompProfile"


# ---- good practice ---------------------------------------------------------------------------------------


@rule
def root_filesystem_is_read_only(objects):
    yield from (c["name"] for _, c in containers(objects) if not c["securityContext"].get("readOnlyRootFilesystem"))


@rule
def no_token_of_the_cluster_is_there(objects):
    for _, pod in pods(objects):
        if pod.get("automountServiceAccountToken") is not False or pod.get("serviceAccountName", "default") == "default":
            yield "the pod's service account"
    for account in of_kind(objects, "ServiceAccount"):
        if account.get("automountServiceAccountToken") is not False:
            yield account["metadata"]["name"]
    yield from of_kind(objects, "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")


@rule
def services_put_no_variables_into_pods(objects):
    """A Service called dgld makes DGLD_PORT of its own."""
    yield from (w["metadata"]["name"] for w, pod in pods(objects) if pod.get("enableServiceLinks") is not False)


@rule
def images_have_a_version(objects):
    for _, container in containers(objects):
        tag = container["image"].partition(":")[2]
        if tag in ("", "latest"):
            yield container["image"]


@rule
def every_container_is_probed(objects):
    for _, container in containers(objects):
        yield from (probe for probe in PROBES if "httpGet" not in container.get(probe, {}))


@rule
def resources_are_asked_for(objects):
    for _, container in containers(objects):
        asked, limits = container["resources"].get("requests", {}), container["resources"].get("limits", {})
        yield from ({"cpu", "memory", "ephemeral-storage"} - set(asked))
        yield from ({"memory", "ephemeral-storage"} - set(limits))


@rule
def no_shell_is_called(objects):
    """There is none in the image."""
    for _, container in containers(objects):
        if not container.get("command", [""])[0].startswith("/") or container["command"][0].endswith("sh"):
            yield "command"
        yield from (p for p in PROBES if "exec" in container.get(p, {}))
        if "exec" in str(container.get("lifecycle", {})):
            yield "lifecycle"


@rule
def secrets_are_referred_to(objects):
    for _, container in containers(objects):
        for variable in container.get("env", []):
            value = variable.get("value", "")
            if "://" in value or any(word in variable["name"] for word in ("PASSWORD", "TOKEN", "SECRET")) and value:
                yield variable["name"]
    yield from of_kind(objects, "Secret")


@rule
def settings_and_secrets_are_mounted_read_only(objects):
    for pod, container in containers(objects):
        writable = {v["name"] for v in pod["volumes"] if "persistentVolumeClaim" in v or "emptyDir" in v}
        for mount in container["volumeMounts"]:
            if mount["name"] not in writable and not mount.get("readOnly"):
                yield mount["name"]
        for volume in pod["volumes"]:
            if volume.get("secret", {"defaultMode": 0o440})["defaultMode"] & 0o337:
                yield f"{volume['name']} is not for the group alone"


@rule
def services_stay_inside(objects):
    yield from (s["spec"]["type"] for s in of_kind(objects, "Service") if s["spec"].get("type", "ClusterIP") != "ClusterIP")


@rule
def everything_is_in_the_namespace(objects):
    name = only(objects, "Namespace")["metadata"]["name"]
    for thing in objects:
        if thing["kind"] not in NOT_IN_A_NAMESPACE and thing["metadata"].get("namespace") != name:
            yield f"{thing['kind']} {thing['metadata']['name']}"
    if only(objects, "Namespace")["metadata"]["labels"].get("pod-security.kubernetes.io/enforce") != "restricted":
        yield "the namespace does not enforce Pod Security"


@rule
def names_are_unique(objects):
    seen = [(o["kind"], o["metadata"]["name"]) for o in objects]
    yield from {name for name in seen if seen.count(name) > 1}


# ---- what belongs together -------------------------------------------------------------------------------


@rule
def selectors_meet_the_pods(objects):
    for workload, pod in pods(objects):
        if not selects(workload["spec"]["selector"]["matchLabels"], workload):
            yield "Deployment"
        for kind, path in (("Service", ()), ("PodDisruptionBudget", ("matchLabels",))):
            for thing in of_kind(objects, kind):
                selector = thing["spec"]["selector"]
                for key in path:
                    selector = selector[key]
                if not selects(selector, workload):
                    yield f"{kind} {thing['metadata']['name']}"
        for spread in pod.get("topologySpreadConstraints", []):
            if not selects(spread["labelSelector"]["matchLabels"], workload):
                yield "topologySpreadConstraints"
    if not of_kind(objects, "PodDisruptionBudget"):
        yield "there is no PodDisruptionBudget"


@rule
def replicas_are_spread(objects):
    for _, pod in pods(objects):
        yield from {"topology.kubernetes.io/zone", "kubernetes.io/hostname"} - {s["topologyKey"] for s in pod.get("topologySpreadConstraints", [])}


@rule
def budget_lets_nodes_be_drained(objects):
    for budget in of_kind(objects, "PodDisruptionBudget"):
        if budget["spec"].get("maxUnavailable", 0) in (0, "0%") or "minAvailable" in budget["spec"]:
            yield budget["spec"]


@rule
def traffic_is_denied_unless_named(objects):
    for workload, _ in pods(objects):
        policies = [p["spec"] for p in of_kind(objects, "NetworkPolicy") if selects(p["spec"]["podSelector"].get("matchLabels", {}), workload)]
        yield from {"Ingress", "Egress"} - {kind for p in policies for kind in p["policyTypes"]}
        for policy in policies:
            rows = [(r, "from") for r in policy.get("ingress", [])] + [(r, "to") for r in policy.get("egress", [])]
            yield from (row for row, peers in rows if not row.get(peers) or not row.get("ports") or {} in row[peers])


@rule
def ports_are_the_containers(objects):
    for _, container in containers(objects):
        names = {p["name"]: p["containerPort"] for p in container["ports"]}
        for service in of_kind(objects, "Service"):
            for port in service["spec"]["ports"]:
                if port["targetPort"] not in names or port["port"] != names[port["targetPort"]]:
                    yield f"Service {service['metadata']['name']}"
        yield from (probe for probe in PROBES if container.get(probe, {}).get("httpGet", {}).get("port") not in names)
        for policy in of_kind(objects, "NetworkPolicy"):
            yield from (p for row in policy["spec"].get("ingress", []) for p in row.get("ports", []) if p["port"] not in names)


@rule
def probes_speak_as_the_service_does(objects):
    """All of them over TLS where there is a certificate, and none where there is not."""
    for _, container in containers(objects):
        has_tls = any(v["name"] == "DGLD_TLS_CERTIFICATE_FILE" for v in container.get("env", []))
        for probe in PROBES:
            scheme = container.get(probe, {}).get("httpGet", {}).get("scheme", "HTTP")
            if (scheme == "HTTPS") != has_tls:
                yield probe


@rule
def volumes_are_mounted_and_claims_are_there(objects):
    claims = {c["metadata"]["name"] for c in of_kind(objects, "PersistentVolumeClaim")}
    maps = {c["metadata"]["name"] for c in of_kind(objects, "ConfigMap")}
    for pod, container in containers(objects):
        yield from {v["name"] for v in pod["volumes"]} ^ {m["name"] for m in container["volumeMounts"]}
        for volume in pod["volumes"]:
            yield from {volume["persistentVolumeClaim"]["claimName"]} - claims if "persistentVolumeClaim" in volume else ()
            yield from {volume["configMap"]["name"]} - maps if "configMap" in volume else ()
    for _, pod in pods(objects):
        accounts = {a["metadata"]["name"] for a in of_kind(objects, "ServiceAccount")}
        yield from {pod["serviceAccountName"]} - accounts


@rule
def several_replicas_share_one_volume_and_one_database(objects):
    for workload, pod in pods(objects):
        scalers = [s for s in of_kind(objects, "HorizontalPodAutoscaler")]
        is_many = bool(scalers) or workload["spec"].get("replicas", 1) > 1
        strategy = workload["spec"].get("strategy", {}).get("type")
        modes = {m for c in of_kind(objects, "PersistentVolumeClaim") for m in c["spec"]["accessModes"]}
        has_database = any(v["name"] == "DGLD_JOB_STORE" for c in pod["containers"] for v in c.get("env", []))
        if modes != ({"ReadWriteMany"} if is_many else {"ReadWriteOnce"}):
            yield f"{modes} of {'many' if is_many else 'one'}"
        if strategy != ("RollingUpdate" if is_many else "Recreate"):
            yield f"strategy {strategy}"
        if has_database != is_many:
            yield "DGLD_JOB_STORE"
        if is_many and workload["spec"]["strategy"].get("rollingUpdate") != {"maxUnavailable": 0, "maxSurge": 1}:
            yield "an upgrade takes replicas away"


@rule
def scaler_knows_what_it_scales(objects):
    for scaler in of_kind(objects, "HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        meant = [o for o in objects if (o["apiVersion"], o["kind"], o["metadata"]["name"]) == (target["apiVersion"], target["kind"], target["name"])]
        if len(meant) != 1 or "replicas" in meant[0]["spec"]:
            yield "its target is not there, or says how many replicas there are"
        if not 2 <= scaler["spec"]["minReplicas"] < scaler["spec"]["maxReplicas"]:
            yield "minReplicas, maxReplicas"
