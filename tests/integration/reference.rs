//! The reference deployments are started as they stand, each service or container as a plain process: only
//! addresses and folders are other ones.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use headwater::config::Config;
use headwater::servers::{Fleet, Seeds};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::fleet::{Address, SOON, get_status, heard_of, http, plays, publish, watch};
use crate::support::monitors::draws;
use crate::support::nats::{NatsServer, Recipe, loopback};
use crate::support::process::Process;
use crate::support::wait::eventually;

/// How much longer than `timeouts.drain` a node takes at most to end.
const END: Duration = Duration::from_secs(10);

fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(path)
}

/// All documents of a YAML file, by the library that `make test-tools` installs.
fn documents(path: &Path) -> Vec<Value> {
    let script = "import json, sys, yaml; json.dump(list(yaml.safe_load_all(open(sys.argv[1]))), sys.stdout)";
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/python");
    let output = Command::new("python3")
        .args(["-c", script])
        .arg(path)
        .env("PYTHONPATH", tools)
        .output()
        .expect("python3");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().map(|it| it.as_str().unwrap().to_owned()).collect()
}

/// A value as a variable has it.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn seconds(text: &Value) -> Duration {
    humantime::parse_duration(text.as_str().unwrap()).unwrap()
}

/// A process of the deployment; what it logs is shown where the test fails.
struct Running {
    process: Process,
    log: PathBuf,
}

impl Running {
    fn start(
        program: &str,
        arguments: &[String],
        variables: &BTreeMap<String, String>,
        log: PathBuf,
    ) -> Self {
        let file = fs::File::create(&log).unwrap();
        let folder = Path::new(env!("CARGO_BIN_EXE_headwater")).parent().unwrap().display().to_string();
        let process = Process::spawn(program, |command| {
            command
                .args(arguments)
                .env(
                    "PATH",
                    format!("{folder}:{}", std::env::var_os("PATH").unwrap_or_default().to_string_lossy()),
                )
                .envs(variables)
                .stdin(Stdio::null())
                .stdout(file.try_clone().unwrap())
                .stderr(file);
        });
        Self { process: process.unwrap(), log }
    }

    /// Stops it as a service manager does, with as much patience.
    async fn stop(mut self, patience: Duration) {
        self.process.signal("TERM");
        let process = &mut self.process;
        let mut status = None;
        eventually(patience, "it ends", || {
            status = process.exited();
            let ended = status.is_some();
            async move { ended.then_some(()) }
        })
        .await;
        assert!(status.is_some_and(|status| status.success()), "{status:?}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}:\n{}", self.log.display(), fs::read_to_string(&self.log).unwrap_or_default());
        }
    }
}

/// Where publishers and viewers of a node go.
struct At(String);

impl Address for At {
    fn public(&self) -> String {
        self.0.clone()
    }
}

async fn answers(url: String, expected: u16) {
    eventually(SOON, format!("{url} answers {expected}"), || async {
        let status = get_status(&url).await;
        if status == expected { Ok(()) } else { Err(status) }
    })
    .await;
}

/// `${NAME:-default}`, as compose puts it in.
fn interpolated(text: &str, variables: &[(&str, &str)]) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (inside, after) = after.split_once('}').expect("an end of the variable");
        let (name, default) = inside.split_once(":-").unwrap_or((inside, ""));
        let value = variables.iter().find(|(known, _)| *known == name).map_or(default, |(_, value)| value);
        out += before;
        out += value;
        rest = after;
    }
    out + rest
}

#[tokio::test(flavor = "multi_thread")]
async fn the_services_of_the_compose_file_are_a_fleet() {
    let compose = documents(&deploy("docker/compose.yaml")).remove(0);
    let dockerfile = fs::read_to_string(deploy("docker/Dockerfile")).unwrap();
    let instruction = |name: &str| -> Vec<String> {
        let line = dockerfile.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        serde_json::from_str(line).unwrap()
    };
    assert_eq!(instruction("ENTRYPOINT "), ["headwater"]);
    let ip = loopback().to_string();
    let variables = |service: &Value| -> BTreeMap<String, String> {
        let given = service["environment"].as_object().unwrap().iter();
        let value = |value: &Value| interpolated(&text(value), &[("HOST_IP", &ip)]).replace("127.0.0.1", &ip);
        given.map(|(name, it)| (name.clone(), value(it))).collect()
    };

    let service = &compose["services"]["nats"];
    assert_eq!(strings(&service["command"]), ["-c", "/etc/nats/nats.conf"]);
    let mounts = strings(&service["volumes"]);
    let file =
        mounts.iter().find_map(|mount| mount.strip_suffix(":/etc/nats/nats.conf:ro")).expect("its file");
    assert!(
        mounts.contains(&"nats:/var/lib/nats".to_owned()),
        "what it stores outlives the container: {mounts:?}"
    );
    let config = fs::read_to_string(deploy("docker").join(file)).unwrap().replace("127.0.0.1", &ip);
    let recipe = Recipe {
        config,
        jetstream: false,
        ip: ip.parse().unwrap(),
        variables: variables(service).into_iter().collect(),
        ..Recipe::default()
    };
    let nats = NatsServer::of(recipe).await;
    let probe = strings(&service["healthcheck"]["test"]).pop().unwrap();
    answers(probe.replace("127.0.0.1", &ip), 200).await;

    let folder = TempDir::new().unwrap();
    let mut running = Vec::new();
    let services = compose["services"].as_object().unwrap().iter().filter(|(name, _)| *name != "nats");
    for (name, service) in services {
        let command = match &service["command"] {
            Value::Null => instruction("CMD "),
            command => strings(command),
        };
        let mut variables = variables(service);
        variables.insert("HEADWATER_NATS__URLS".to_owned(), format!("[\"{}\"]", nats.url()));
        let drain = Config::default().timeouts.drain;
        let patience = seconds(&service["stop_grace_period"]);
        assert!(patience > drain + END, "{name} may drain for {drain:?}, and is killed after {patience:?}");
        running.push((Running::start("headwater", &command, &variables, folder.path().join(name)), patience));
    }
    assert_eq!(running.len(), 3);
    for port in [8081, 8091, 9090] {
        answers(format!("http://{ip}:{port}/healthz"), 200).await;
        answers(format!("http://{ip}:{port}/readyz"), 200).await;
    }
    let (east, west) = (At(format!("http://{ip}:8080")), At(format!("http://{ip}:8090")));
    let publisher = publish(&east, "first").await;
    heard_of(&west, "first").await;
    let viewer = watch(&west, "first").await;
    plays(&viewer, 3).await;
    draws(&format!("http://{ip}:9090"), "first", "east-1(west-1)").await;
    viewer.stop().await;
    publisher.stop().await.unwrap();
    for (service, patience) in running {
        service.stop(patience).await;
    }
    assert!(!nats.log().contains("Violation"), "{}", nats.log());
}

#[test]
fn the_units_are_more_patient_than_a_draining_node() {
    let unit = fs::read_to_string(deploy("systemd/headwater.service")).unwrap();
    let patience =
        unit.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")).unwrap().parse().unwrap();
    let node = Config::load(Some(&deploy("node.toml"))).unwrap();
    assert!(Duration::from_secs(patience) > node.timeouts.drain + END);
}

/// The variables of a container, on a machine with this address.
fn variables(
    container: &Value,
    pod: &str,
    ip: &str,
    secrets: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    for variable in container["env"].as_array().unwrap() {
        let from = &variable["valueFrom"];
        let value = match (&variable["value"], from["fieldRef"]["fieldPath"].as_str()) {
            (_, Some("metadata.name")) => pod.to_owned(),
            (_, Some("status.hostIP")) => ip.to_owned(),
            (Value::Null, _) => {
                let secret = &from["secretKeyRef"];
                secrets[&format!("{}/{}", text(&secret["name"]), text(&secret["key"]))].clone()
            }
            (value, _) => {
                known.iter().fold(text(value).replace("0.0.0.0", ip), |text: String, (name, value)| {
                    text.replace(&format!("$({name})"), value)
                })
            }
        };
        assert!(!value.contains("$("), "{value}: a variable has to stand above those that use it");
        known.insert(text(&variable["name"]), value);
    }
    known
}

/// Asks what a probe asks.
async fn probed(container: &Value, probe: &str, ip: &str) {
    let get = &container[probe]["httpGet"];
    let ports = container["ports"].as_array().unwrap();
    let port = ports.iter().find(|port| port["name"] == get["port"]).expect("the probe's port");
    answers(format!("http://{ip}:{}{}", port["containerPort"], text(&get["path"])), 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pods_of_the_manifest_are_a_fleet_that_answers_nobody_without_the_token() {
    let documents = documents(&deploy("kubernetes/headwater.yaml"));
    let of = |kind: &str| documents.iter().find(|it| it["kind"] == kind).unwrap();
    let list = "[[sites]]\nname = 'east'\nservers = ['127.0.0.1']\nnodes = ['headwater-0', 'headwater-1']";
    let mut seeds = Seeds::new();
    let files = Fleet::parse(list).unwrap().files(&mut seeds).unwrap();
    let address = loopback();
    let config = files[0].text.replace("127.0.0.1:8222", &format!("{address}:8222"));
    let nats =
        NatsServer::of(Recipe { config, jetstream: false, ip: address.into(), ..Recipe::default() }).await;
    let secrets: BTreeMap<String, String> = seeds
        .iter()
        .map(|(user, seed)| (format!("headwater-nats/{user}.nk"), seed.clone()))
        .chain([("headwater-operators/token".to_owned(), "the-token".to_owned())])
        .collect();

    // What is mounted.
    let folder = TempDir::new().unwrap();
    let given = text(&of("ConfigMap")["data"]["node.toml"]);
    let given =
        given.replace("nats://nats.nats.svc:4222", &nats.url()).replace("replicas = 3", "replicas = 1");
    fs::write(folder.path().join("node.toml"), &given).unwrap();
    fs::create_dir(folder.path().join("nats")).unwrap();
    for (user, seed) in &seeds {
        fs::write(folder.path().join("nats").join(format!("{user}.nk")), format!("{seed}\n")).unwrap();
    }
    let mounted = |text: &String| text.replace("/etc/headwater", &folder.path().display().to_string());

    let pods = &of("StatefulSet")["spec"]["template"]["spec"];
    assert_eq!((&pods["hostNetwork"], &pods["enableServiceLinks"]), (&true.into(), &false.into()));
    let node = &pods["containers"][0];
    let hook = strings(&node["lifecycle"]["preStop"]["exec"]["command"]).pop().unwrap();
    let wait =
        hook.split_once("--wait ").and_then(|(_, rest)| rest.split(' ').next()).expect("the hook drains");
    let wait = humantime::parse_duration(wait).unwrap();
    let drain = Config::parse(&given).unwrap().timeouts.drain;
    let patience = Duration::from_secs(pods["terminationGracePeriodSeconds"].as_u64().unwrap());
    assert!(patience >= wait + drain + END, "{patience:?} for a hook of {wait:?} and a drain of {drain:?}");

    let mut running = Vec::new();
    let start = |container: &Value, pod: &str, ip: &str| {
        let mut command: Vec<_> = [strings(&container["command"]), strings(&container["args"])].concat();
        command.iter_mut().for_each(|word| *word = mounted(word));
        let program = command.remove(0);
        Running::start(&program, &command, &variables(container, pod, ip, &secrets), folder.path().join(pod))
    };
    let hosts = [loopback().to_string(), loopback().to_string(), loopback().to_string()];
    for (number, host) in hosts.iter().take(2).enumerate() {
        running.push(start(node, &format!("headwater-{number}"), host));
    }
    let monitor = &of("Deployment")["spec"]["template"]["spec"]["containers"][0];
    running.push(start(monitor, "monitor", &hosts[2]));
    for (container, host) in [(node, &hosts[0]), (node, &hosts[1]), (monitor, &hosts[2])] {
        probed(container, "livenessProbe", host).await;
        probed(container, "readinessProbe", host).await;
        let port = if container == node { 8081 } else { 9090 };
        let api = format!("http://{host}:{port}/api/fleet");
        answers(api.clone(), 401).await;
        let told = http().get(&api).bearer_auth("the-token").send().await.unwrap().status();
        assert_eq!(told, 200, "{api}");
    }
    let [one, two] = [0, 1].map(|number: usize| At(format!("http://{}:8080", hosts[number])));
    let publisher = publish(&one, "first").await;
    heard_of(&two, "first").await;
    let viewer = watch(&two, "first").await;
    plays(&viewer, 3).await;
    viewer.stop().await;
    publisher.stop().await.unwrap();
    for pod in running {
        pod.stop(patience).await;
    }
    assert!(!nats.log().contains("Violation"), "{}", nats.log());
}
