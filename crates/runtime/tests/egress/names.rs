//! Questions for names.

use std::future::Future;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::Arc;

use safeconduct_runtime::egress::{Book, Reason};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::edges::{Border, Names, SOON};

struct One;

impl Book for One {
    fn address<'a>(&'a self, name: &'a str) -> Pin<Box<dyn Future<Output = Option<Ipv4Addr>> + Send + 'a>> {
        Box::pin(async move { (name != "full.test").then_some(Ipv4Addr::new(127, 64, 0, 1)) })
    }
}

/// The answer's code and the address in it.
async fn ask(at: std::net::SocketAddr, name: &str) -> (u8, Option<[u8; 4]>) {
    let mut question = vec![7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        question.push(u8::try_from(label.len()).unwrap());
        question.extend_from_slice(label.as_bytes());
    }
    question.extend_from_slice(&[0, 0, 1, 0, 1]);
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    socket.send_to(&question, at).await.unwrap();
    let mut answer = [0; 512];
    let length = timeout(SOON, socket.recv(&mut answer)).await.expect("no answer").unwrap();
    assert_eq!(answer[..2], [7, 7]);
    (answer[3] & 15, (answer[7] == 1).then(|| answer[length - 4..length].try_into().unwrap()))
}

#[tokio::test]
async fn allowed_names_have_an_address_and_others_do_not_exist() {
    let mut border = Border::new(
        &["api.test:443".into(), "*.example.com:443".into(), "full.test:1".into()],
        Names::default(),
    );
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let at = socket.local_addr().unwrap();
    let egress = border.egress.clone();
    let serving = tokio::spawn(async move { egress.names(socket, Arc::new(One)).await });

    assert_eq!(ask(at, "api.test").await, (0, Some([127, 64, 0, 1])));
    assert_eq!(ask(at, "A.Example.COM").await, (0, Some([127, 64, 0, 1])));
    assert_eq!(ask(at, "full.test").await, (2, None));
    assert_eq!(ask(at, "stolen-data.evil.test").await, (3, None));
    assert_eq!(border.refused("stolen-data.evil.test", None).await, Reason::NotAllowed);
    assert_eq!(ask(at, "a.b.example.com").await, (3, None));
    serving.abort();
}
