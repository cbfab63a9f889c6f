//! QR codes the device makes by itself, without a request.

use jobs_core::Secret;

use crate::ProtocolError;
use crate::sign::{self, Nonce, Purpose};

const BASE: &str = "https://open.work.weixin.qq.com/connect/hardware";

/// The address behind the QR code that binds the device to a company.
///
/// It holds a signature, so show it as a QR code and keep it out of logs.
///
/// # Errors
///
/// The serial number has other characters than letters, digits and `-._~`.
pub(crate) fn bind_url(
    sn: &str,
    secret_no: &Secret,
    timestamp: u64,
    nonce: Nonce,
) -> Result<Secret, ProtocolError> {
    url(Purpose::BindQr, sn, secret_no, timestamp, nonce)
}

/// The address behind the QR code that lets an administrator log in; `state` is handed back.
///
/// # Errors
///
/// The serial number or the state has other characters than letters, digits and `-._~`: nothing
/// tells whether the encoded or the plain text would have to be signed.
pub(crate) fn login_url(
    sn: &str,
    secret_no: &Secret,
    timestamp: u64,
    nonce: Nonce,
    state: &str,
) -> Result<Secret, ProtocolError> {
    check_unreserved("state", state)?;
    url(Purpose::LoginQr { state }, sn, secret_no, timestamp, nonce)
}

fn url(
    purpose: Purpose<'_>,
    sn: &str,
    secret_no: &Secret,
    timestamp: u64,
    nonce: Nonce,
) -> Result<Secret, ProtocolError> {
    check_unreserved("sn", sn)?;
    let signature = sign::sign(purpose, sn, secret_no, timestamp, nonce);
    let mut url = format!(
        "{BASE}?sn={sn}&timestamp={timestamp}&nonce={}&signature={}&type={}",
        nonce.get(),
        signature.expose(),
        sign::constant_word(purpose),
    );
    if let Purpose::LoginQr { state } = purpose {
        url.push_str("&state=");
        url.push_str(state);
    }
    // Only unreserved characters were put in, so it is a credential that can be carried.
    Secret::new(url).map_err(|_| ProtocolError::Argument {
        field: "sn",
        rule: "must consist of letters, digits and -._~",
    })
}

fn check_unreserved(field: &'static str, text: &str) -> Result<(), ProtocolError> {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if text.is_empty() || !text.bytes().all(fine) {
        return Err(ProtocolError::Argument {
            field,
            rule: "must consist of letters, digits and -._~",
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> Secret {
        Secret::new("00112233445566778899aabbccddeeff").unwrap()
    }

    #[test]
    fn bind_address_holds_the_signed_values() {
        let url = bind_url(
            "TEST-SN-0001",
            &secret(),
            1_700_000_000,
            Nonce::new(987_654_321).unwrap(),
        );
        assert_eq!(
            url.unwrap().expose(),
            "https://open.work.weixin.qq.com/connect/hardware?sn=TEST-SN-0001&timestamp=1700000000\
             &nonce=987654321&signature=b4dcd16a1cb853c7f72ee23ff9558f1242a206e8&type=qrcode"
        );
    }

    #[test]
    fn login_address_holds_the_state() {
        let nonce = Nonce::new(987_654_321).unwrap();
        let url = login_url("TEST-SN-0001", &secret(), 1_700_000_000, nonce, "tray-2").unwrap();
        assert_eq!(
            url.expose(),
            "https://open.work.weixin.qq.com/connect/hardware?sn=TEST-SN-0001&timestamp=1700000000\
             &nonce=987654321&signature=45fa8f0333e117b88ec8b54f6d758c7f7d8fc419\
             &type=dynamic_login&state=tray-2"
        );
    }

    #[test]
    fn state_outside_unreserved_ascii_is_refused() {
        let nonce = Nonce::new(1).unwrap();
        for state in ["", "tray 2", "a&b", "托盘", "a%20b", "a+b", "a/b"] {
            assert!(
                login_url("SN", &secret(), 1, nonce, state).is_err(),
                "{state:?}"
            );
        }
        assert!(bind_url("SN 1", &secret(), 1, nonce).is_err());
    }
}
