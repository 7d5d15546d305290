//! The batch script, in a cluster of one node on loopback.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command};

use claude_safe_testkit::{Behaviour, Sandbox, wait_until};

use crate::{DEADLINE, TASK, assert_done_once, deploy, outage};

/// Authentication, controller and node; they end with the sandbox at the latest.
struct Cluster<'s> {
    sandbox: &'s Sandbox,
    dir: PathBuf,
    daemons: Vec<Child>,
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("an address").port()
}

impl<'s> Cluster<'s> {
    fn start(sandbox: &'s Sandbox, dir: PathBuf) -> Self {
        let host = Command::new("uname").arg("-n").output().expect("uname").stdout;
        let host = String::from_utf8(host).expect("text").trim().to_owned();
        let user = nix::unistd::User::from_uid(nix::unistd::getuid())
            .expect("a user")
            .expect("this user has a name")
            .name;
        for below in ["state", "spool"] {
            fs::create_dir_all(dir.join(below)).expect("a directory");
        }
        // munge wants no one else to be able to write above its socket
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).expect("mode");
        let at = dir.display();
        let config = format!(
            "ClusterName=test\nSlurmctldHost={host}(127.0.0.1)\nSlurmctldPort={}\nSlurmdPort={}\n\
             SlurmUser={user}\nSlurmdUser={user}\nAuthType=auth/munge\nCredType=cred/munge\n\
             AuthInfo=socket={at}/munge.socket,cred_expire=5\nStateSaveLocation={at}/state\n\
             SlurmdSpoolDir={at}/spool\nSlurmctldPidFile={at}/ctld.pid\nSlurmdPidFile={at}/d.pid\n\
             ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nReturnToService=2\n\
             JobAcctGatherType=jobacct_gather/none\nSelectType=select/linear\nMpiDefault=none\n\
             AccountingStorageType=accounting_storage/none\nSchedulerParameters=sched_interval=1\n\
             NodeName={host} NodeAddr=127.0.0.1 CPUs=1 State=UNKNOWN\n\
             PartitionName=p Nodes=ALL Default=YES MaxTime=INFINITE State=UP\n",
            free_port(),
            free_port(),
        );
        fs::write(dir.join("slurm.conf"), config).expect("written");
        // 122 random bits are enough for a cluster of a minute; munge wants 32 bytes at least.
        let key = uuid::Uuid::new_v4().to_string();
        fs::write(dir.join("key"), key).expect("written");
        fs::set_permissions(dir.join("key"), fs::Permissions::from_mode(0o600)).expect("mode");
        let mut this = Self { sandbox, dir, daemons: Vec::new() };
        let option = |name: &str, file: &str| format!("--{name}={}/{file}", this.dir.display());
        let munge = [
            "--foreground".to_owned(),
            "--force".to_owned(),
            option("key-file", "key"),
            option("socket", "munge.socket"),
            option("pid-file", "munged.pid"),
            option("log-file", "munged.log"),
            option("seed-file", "seed"),
        ];
        this.daemon("munged", &munge);
        let socket = this.dir.join("munge.socket");
        this.until("munge", || socket.exists());
        this.daemon("slurmctld", &["-D".to_owned()]);
        this.daemon("slurmd", &["-D".to_owned()]);
        this.until("the node", || this.ask("sinfo", &["-h", "-o", "%T"]).contains("idle"));
        this
    }

    fn daemon(&mut self, program: &str, args: &[String]) {
        let log = File::create(self.dir.join(format!("{program}.out"))).expect("a file");
        let started = self
            .sandbox
            .command(program)
            .env("SLURM_CONF", self.dir.join("slurm.conf"))
            .args(args)
            .stdout(log.try_clone().expect("a descriptor"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{program} (see tests/install): {error}"));
        self.daemons.push(started);
    }

    fn ask(&self, program: &str, args: &[&str]) -> String {
        let mut command = self.sandbox.command(program);
        command.env("SLURM_CONF", self.dir.join("slurm.conf")).args(args);
        let output = self.sandbox.run(command, DEADLINE);
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        if wait_until(DEADLINE, || holds().then_some(())).is_none() {
            let logs = ["munged", "slurmctld", "slurmd"].map(|name| {
                fs::read_to_string(self.dir.join(format!("{name}.out"))).unwrap_or_default()
            });
            panic!("waited in vain for {what}: {}", logs.join("\n"));
        }
    }
}

impl Drop for Cluster<'_> {
    fn drop(&mut self) {
        // A step's own daemon outlives the node's: jobs end first, also when a test failed.
        let config = self.dir.join("slurm.conf");
        let quiet = |program: &str, args: &[&str]| {
            self.sandbox.command(program).env("SLURM_CONF", &config).args(args).output()
        };
        let _ = quiet("scancel", &["--me", "--signal=KILL", "--full"]);
        let _ = quiet("scancel", &["--me"]);
        wait_until(std::time::Duration::from_secs(20), || {
            let left = quiet("squeue", &["--noheader"]);
            left.is_ok_and(|left| left.stdout.is_empty()).then_some(())
        });
        for daemon in self.daemons.iter_mut().rev() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

#[test]
fn the_job_is_requeued_until_the_outage_is_over() {
    let (service, sandbox) = outage();
    let cluster = Cluster::start(&sandbox, sandbox.tmp().join("slurm"));
    fs::write(sandbox.project().join("task.md"), TASK).expect("written");
    let script = deploy().join("slurm/claude-safe.sbatch");
    let script = script.to_str().expect("text");
    let job = cluster.ask("sbatch", &["--parsable", script, "task.md"]);
    let shows = |text: &str| cluster.ask("scontrol", &["show", "job", &job]).contains(text);
    cluster.until("the second requeue", || shows("Restarts=2"));
    service.set_api(Behaviour::Ok);
    let ends = ["COMPLETED", "FAILED", "CANCELLED", "NODE_FAIL", "TIMEOUT"];
    cluster.until("the job's end", || ends.iter().any(|end| shows(&format!("JobState={end} "))));
    let record = cluster.ask("scontrol", &["show", "job", &job]);
    let out = fs::read_to_string(sandbox.project().join(format!("slurm-{job}.out")));
    let out = out.expect("the job's output");
    assert!(record.contains("JobState=COMPLETED"), "{record}\n{out}");
    assert_done_once(&sandbox, &out);
}
