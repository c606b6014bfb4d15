//! Certificates of the kubelet on disk, with upstream's names (`client-go/util/certificate/certificate_store.go`).

#![expect(clippy::disallowed_methods, reason = "blocks: its duties have threads of their own (offload::duty)")]

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use kube::config::{AuthInfo, Kubeconfig, NamedAuthInfo};

use super::apiserver::kubeconfig::read_kubeconfig;
use super::fs::atomic::write_if_changed;
use crate::core::bootstrap::kubeconfig;
use crate::core::model::Secret;
use crate::core::model::credentials::CertificateUse;
use crate::ports::kubelet::{CredentialFiles, KubeconfigUser};

#[derive(Clone, Debug)]
pub struct CertificateDir {
    pub path: PathBuf,
}

impl CertificateDir {
    fn current_path(&self, use_: CertificateUse) -> PathBuf {
        self.path.join(format!("{}-current.pem", use_.stem()))
    }

    fn pending_path(&self, use_: CertificateUse) -> PathBuf {
        self.path.join(format!("{}.key.tmp", use_.stem()))
    }

    fn ensure(&self) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(&self.path)
    }
}

fn invalid(message: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

fn current_user(config: &Kubeconfig) -> Option<&AuthInfo> {
    let context = config.current_context.as_ref()?;
    let context = config.contexts.iter().find(|c| c.name == *context)?.context.as_ref()?;
    let user = context.user.as_ref()?;
    config.auth_infos.iter().find(|a| a.name == *user)?.auth_info.as_ref()
}

impl CredentialFiles for CertificateDir {
    fn current(&self, use_: CertificateUse) -> Option<String> {
        fs::read_to_string(self.current_path(use_)).ok()
    }

    fn pending_key(&self, use_: CertificateUse) -> Option<Secret<String>> {
        fs::read_to_string(self.pending_path(use_)).ok().map(Secret::new)
    }

    fn set_pending_key(&self, use_: CertificateUse, key: Option<&Secret<String>>) -> io::Result<()> {
        self.ensure()?;
        let path = self.pending_path(use_);
        match key {
            Some(key) => write_if_changed(&path, key.reveal().as_bytes(), 0o600).map(drop),
            None => match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                Ok(()) | Err(_) => Ok(()),
            },
        }
    }

    fn store(&self, use_: CertificateUse, cert: &str, key: &Secret<String>, now: Timestamp) -> io::Result<()> {
        self.ensure()?;
        let name = format!("{}-{}.pem", use_.stem(), now.strftime("%Y-%m-%d-%H-%M-%S"));
        let content = format!("{}\n{}", cert.trim_end(), key.reveal());
        write_if_changed(&self.path.join(&name), content.as_bytes(), 0o600)?;
        let link = self.path.join(format!(".{}-current.new", use_.stem()));
        let _ = fs::remove_file(&link);
        symlink(&name, &link)?;
        fs::rename(&link, self.current_path(use_))
    }

    fn user_of(&self, kubeconfig: &Path) -> KubeconfigUser {
        if !kubeconfig.exists() {
            return KubeconfigUser::Missing;
        }
        let Ok(config) = read_kubeconfig(kubeconfig) else { return KubeconfigUser::Other };
        let Some(user) = current_user(&config) else { return KubeconfigUser::Other };
        if let Some(data) = &user.client_certificate_data {
            use base64::Engine;
            let pem =
                base64::engine::general_purpose::STANDARD.decode(data).ok().and_then(|b| String::from_utf8(b).ok());
            return pem.map_or(KubeconfigUser::Unreadable, |pem| KubeconfigUser::Certificate { pem, elsewhere: true });
        }
        match &user.client_certificate {
            Some(path) => match fs::read_to_string(path) {
                Ok(pem) => {
                    let elsewhere = Path::new(path) != self.current_path(CertificateUse::Client);
                    KubeconfigUser::Certificate { pem, elsewhere }
                }
                Err(_) => KubeconfigUser::Unreadable,
            },
            None => KubeconfigUser::Other,
        }
    }

    fn authorities(&self, kubeconfig: &Path) -> Option<String> {
        kubeconfig::parse(&fs::read_to_string(kubeconfig).ok()?)?.ca
    }

    fn write_kubeconfig(&self, template: &Path, kubeconfig: &Path, user: &str) -> io::Result<()> {
        let mut config = read_kubeconfig(template).map_err(invalid)?;
        let file = self.current_path(CertificateUse::Client).display().to_string();
        let info = AuthInfo { client_certificate: Some(file.clone()), client_key: Some(file), ..AuthInfo::default() };
        config.auth_infos =
            vec![NamedAuthInfo { name: user.into(), auth_info: Some(info), ..NamedAuthInfo::default() }];
        let current = config.current_context.clone();
        config.contexts.retain(|context| Some(&context.name) == current.as_ref());
        for context in config.contexts.iter_mut().filter_map(|c| c.context.as_mut()) {
            context.user = Some(user.into());
        }
        config.api_version = Some("v1".into());
        config.kind = Some("Config".into());
        let text = serde_saphyr::to_string(&config).map_err(|e| invalid(e.to_string()))?;
        write_if_changed(kubeconfig, text.as_bytes(), 0o600).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_under_the_time_and_turns_the_link() {
        let dir = tempfile::tempdir().expect("a directory");
        let files = CertificateDir { path: dir.path().join("pki") };
        let key = Secret::new("KEY\n".to_string());
        let at = |s| Timestamp::from_second(s).expect("a time");
        files.store(CertificateUse::Client, "ONE\n", &key, at(0)).expect("stored");
        files.store(CertificateUse::Client, "TWO\n", &key, at(60)).expect("stored");
        assert_eq!(files.current(CertificateUse::Client).as_deref(), Some("TWO\nKEY\n"));
        assert!(dir.path().join("pki/kubelet-client-1970-01-01-00-00-00.pem").exists());
    }

    #[test]
    fn writes_a_kubeconfig_that_names_the_current_certificate() {
        let dir = tempfile::tempdir().expect("a directory");
        let template = dir.path().join("bootstrap.conf");
        let text = "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{name: k, cluster: {server: 'https://h:6443'}}]\n\
                    contexts: [{name: c, context: {cluster: k, user: t}}]\nusers: [{name: t, user: {token: secret}}]\n";
        fs::write(&template, text).expect("written");
        let files = CertificateDir { path: dir.path().join("pki") };
        let path = dir.path().join("kubelet.conf");
        assert_eq!(files.user_of(&path), KubeconfigUser::Missing);
        files.write_kubeconfig(&template, &path, "default-auth").expect("written");
        assert_eq!(files.user_of(&path), KubeconfigUser::Unreadable);
        files
            .store(CertificateUse::Client, "PEM\n", &Secret::new("KEY".into()), Timestamp::UNIX_EPOCH)
            .expect("stored");
        let want = KubeconfigUser::Certificate { pem: "PEM\nKEY".into(), elsewhere: false };
        assert_eq!(files.user_of(&path), want);
        let written = fs::read_to_string(&path).expect("read");
        let other = dir.path().join("other.pem");
        fs::write(&other, "PEM").expect("written");
        let current = files.current_path(CertificateUse::Client);
        let changed = written.replace(current.to_str().expect("text"), other.to_str().expect("text"));
        fs::write(&path, changed).expect("written");
        assert_eq!(files.user_of(&path), KubeconfigUser::Certificate { pem: "PEM".into(), elsewhere: true });
        assert!(written.contains("https://h:6443") && !written.contains("secret"), "{written}");
    }
}
