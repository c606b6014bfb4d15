//! Every certificate of a control plane with its validity, for people and monitoring.

use std::path::PathBuf;

use jiff::Timestamp;

use super::read_text::read_text;
use crate::core::bootstrap::authorities::authorities;
use crate::core::bootstrap::kubeconfig;
use crate::core::bootstrap::phases::{certs, kubeconfigs};
use crate::core::model::pki::{Leaf, ObservedCertificate, renewal_due};
use crate::core::model::spec::Spec;
use crate::ports::bootstrap::{FileError, NodeFiles};
use crate::ports::node::{Pki, PkiError};

/// A certificate of this node with its validity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateReport {
    /// The file that contains the certificate.
    pub path: PathBuf,
    /// Subject of the certificate; of a CA its common name.
    pub subject: String,
    /// True for a CA, which is never renewed automatically.
    pub authority: bool,
    /// Expiry; `None` when it could not be read.
    pub not_after: Option<Timestamp>,
    /// When the renewal timer will renew it; `None` for a CA or an unreadable certificate.
    pub renewed_at: Option<Timestamp>,
    /// Why the certificate cannot be used; `None` if it is valid.
    pub fault: Option<String>,
    /// True if the signer's key is on this node; otherwise it is renewed elsewhere.
    pub renewed_here: bool,
}

/// Inspects every certificate of the control plane.
pub fn observe_certificates(
    files: &dyn NodeFiles,
    pki: &dyn Pki,
    spec: &Spec,
    now: Timestamp,
) -> Result<Vec<CertificateReport>, FileError> {
    let mut reports = Vec::new();
    let is_here = |leaf: &Leaf| Ok::<_, FileError>(files.info(&leaf.signer.key)?.is_some());
    for authority in authorities(spec) {
        let key = read_text(files, &authority.files.key)?;
        let seen = read_text(files, &authority.files.cert)?.map(|cert| pki.inspect(&cert, key.as_deref(), None));
        let judged = |seen: &ObservedCertificate| authority.check(seen, now).err().map(|unfit| unfit.to_string());
        reports.push(report(authority.files.cert.clone(), &authority.common_name, true, seen, judged));
    }
    for certificate in certs::leaves(spec) {
        let key = read_text(files, &certificate.files.key)?;
        let signer = read_text(files, &certificate.leaf.signer.cert)?;
        let seen = read_text(files, &certificate.files.cert)?;
        let seen = seen.map(|cert| pki.inspect(&cert, key.as_deref(), signer.as_deref()));
        let judged =
            |seen: &ObservedCertificate| certificate.leaf.check(seen, now).err().map(|unfit| unfit.to_string());
        let subject = certificate.leaf.subject.to_string();
        let mut report = report(certificate.files.cert.clone(), &subject, false, seen, judged);
        report.renewed_here = is_here(&certificate.leaf)?;
        reports.push(report);
    }
    for wanted in kubeconfigs::kubeconfigs(spec) {
        let Some(text) = read_text(files, &wanted.path)? else { continue };
        let subject = wanted.leaf.subject.to_string();
        let Some(parsed) = kubeconfig::parse(&text) else {
            let mut unreadable = report(wanted.path.clone(), &subject, false, None, |_| None);
            unreadable.fault = Some("is not a kubeconfig".to_owned());
            reports.push(unreadable);
            continue;
        };
        // A certificate in a separate file is renewed by the program that owns the file.
        let Some(certificate) = parsed.client_certificate else { continue };
        let signer = read_text(files, &wanted.leaf.signer.cert)?;
        let seen = Some(pki.inspect(&certificate, parsed.client_key.as_deref(), signer.as_deref()));
        let judged = |seen: &ObservedCertificate| wanted.leaf.check(seen, now).err().map(|unfit| unfit.to_string());
        let mut report = report(wanted.path.clone(), &subject, false, seen, judged);
        report.renewed_here = is_here(&wanted.leaf)?;
        reports.push(report);
    }
    if let Some(etcd) = &spec.cluster.external_etcd {
        let (key, signer) = (read_text(files, &etcd.key)?, read_text(files, &etcd.ca)?);
        let seen = read_text(files, &etcd.certificate)?;
        let seen = seen.map(|cert| pki.inspect(&cert, key.as_deref(), signer.as_deref()));
        let subject = match &seen {
            Some(Ok(seen)) => seen.subject.to_string(),
            Some(Err(_)) | None => "etcd client".to_owned(),
        };
        let judged = |seen: &ObservedCertificate| {
            seen.is_usable(now, &etcd.ca).and_then(|()| seen.is_young(now)).err().map(|unfit| unfit.to_string())
        };
        let mut report = report(etcd.certificate.clone(), &subject, false, seen, judged);
        report.renewed_here = false;
        reports.push(report);
    }
    Ok(reports)
}

fn report(
    path: PathBuf,
    subject: &str,
    authority: bool,
    seen: Option<Result<ObservedCertificate, PkiError>>,
    judged: impl Fn(&ObservedCertificate) -> Option<String>,
) -> CertificateReport {
    let mut report = CertificateReport {
        path,
        subject: subject.to_owned(),
        authority,
        not_after: None,
        renewed_at: None,
        fault: None,
        renewed_here: !authority,
    };
    match seen {
        None => report.fault = Some("does not exist".to_owned()),
        Some(Err(error)) => report.fault = Some(error.to_string()),
        Some(Ok(seen)) => {
            report.not_after = Some(seen.not_after);
            report.renewed_at = (!authority).then(|| renewal_due(seen.not_before, seen.not_after));
            report.fault = judged(&seen);
        }
    }
    report
}
