//! The commands a device sends, and what is known about their answers.

/// A command, device to cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub(crate) enum Command {
    /// Ask for the cloud's time.
    GetTimestamp,
    /// Exchange a shared seed for this device's own SecretNo.
    GetSecretNo,
    /// First step of the login: who we are.
    Register,
    /// Second step: fetch the secret once a company has bound the device.
    Active,
    /// Last step: go online.
    SubscribeCorp,
    /// Heartbeat.
    Ping,
    /// Name of the company the device belongs to.
    GetCorpInfo,
    /// Tell about trouble of the device.
    ErrorReport,
    /// Tell what the device is able to do.
    ReportDeviceFeature,
    /// QR code that lets an administrator log in.
    GenLoginQrcode,
    /// Hand a log file to the cloud. Not wrapped.
    #[cfg(any(test, fuzzing))]
    UploadLog,
    /// List print jobs.
    GetJobList,
    /// Download the file of a print job.
    DownloadFile,
    /// Report the outcome of a print job.
    ReportJobStatus,
    /// QR code that members scan to print here.
    GenQrcode,
    /// Deliver a scan to a member.
    UploadScanFile,
}

impl Command {
    /// Every command known here.
    #[cfg(any(test, fuzzing))]
    pub(crate) const ALL: [Self; 16] = [
        Self::GetTimestamp,
        Self::GetSecretNo,
        Self::Register,
        Self::Active,
        Self::SubscribeCorp,
        Self::Ping,
        Self::GetCorpInfo,
        Self::ErrorReport,
        Self::ReportDeviceFeature,
        Self::GenLoginQrcode,
        Self::UploadLog,
        Self::GetJobList,
        Self::DownloadFile,
        Self::ReportJobStatus,
        Self::GenQrcode,
        Self::UploadScanFile,
    ];

    /// The name on the wire.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::GetTimestamp => "get_timestamp",
            Self::GetSecretNo => "get_secret_no",
            Self::Register => "register",
            Self::Active => "active",
            Self::SubscribeCorp => "subscribe_corp",
            Self::Ping => "ping",
            Self::GetCorpInfo => "get_corp_info",
            Self::ErrorReport => "error_report",
            Self::ReportDeviceFeature => "report_device_feature",
            Self::GenLoginQrcode => "gen_login_qrcode",
            #[cfg(any(test, fuzzing))]
            Self::UploadLog => "upload_log",
            Self::GetJobList => "printer/get_job_list",
            Self::DownloadFile => "printer/download_file",
            Self::ReportJobStatus => "printer/report_job_status",
            Self::GenQrcode => "printer/gen_qrcode",
            Self::UploadScanFile => "printer/upload_scan_file",
        }
    }

    /// Whether it is refused before the login is complete.
    pub(crate) const fn needs_login(self) -> bool {
        !matches!(
            self,
            Self::GetTimestamp
                | Self::GetSecretNo
                | Self::Register
                | Self::Active
                | Self::SubscribeCorp
                | Self::Ping
        )
    }

    /// Whether it is one of the `printer/*` commands, whose answers were seen without `headers`.
    pub(crate) const fn is_printer(self) -> bool {
        matches!(
            self,
            Self::GetJobList
                | Self::DownloadFile
                | Self::ReportJobStatus
                | Self::GenQrcode
                | Self::UploadScanFile
        )
    }

    /// Whether success arrives as a binary message; failure is text even then.
    pub(crate) const fn answers_with_file(self) -> bool {
        matches!(
            self,
            Self::DownloadFile | Self::GenQrcode | Self::GenLoginQrcode
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printer_commands_are_those_named_so() {
        for command in Command::ALL {
            assert_eq!(
                command.is_printer(),
                command.name().starts_with("printer/"),
                "{command:?}"
            );
            assert!(!command.is_printer() || command.needs_login());
        }
    }

    #[test]
    fn names_are_unique() {
        let names: std::collections::HashSet<_> =
            Command::ALL.iter().map(|command| command.name()).collect();
        assert_eq!(names.len(), Command::ALL.len());
    }
}
