//! What a newcomer sees when everything runs.

use crate::platform::Addresses;

/// Prints the addresses and one line to try for each of them.
pub fn print(addresses: &Addresses, token: &str, nats_url: &str, shop: bool) {
    let http = addresses.http.map(|address| format!("http://{address}")).unwrap_or_default();
    let grpc = addresses.grpc.map(|address| address.to_string()).unwrap_or_default();
    let admin = addresses.admin.map(|address| format!("http://{address}")).unwrap_or_default();
    println!("\n  HTTP     {http}\n  gRPC     {grpc}\n  NATS     {nats_url}\n  metrics  {admin}/metrics");
    println!("  token    {token}   (admin)\n\nTry it:\n");
    if shop {
        println!(
            "  curl -s {http}/items/orders -H 'Authorization: Bearer {token}' -H 'Content-Type: application/json' \\\n    \
             -d '{{\"customer\":1,\"product\":1,\"quantity\":2,\"title\":\"Two of the first\"}}'\n"
        );
    } else {
        println!(
            "  curl -s {http}/collections -H 'Authorization: Bearer {token}' -H 'Content-Type: application/json' \\\n    \
             -d '{{\"collection\":\"articles\",\"schema\":{{}},\"fields\":[{{\"field\":\"title\",\"type\":\"string\"}}]}}'\n  \
             curl -s {http}/items/articles -H 'Authorization: Bearer {token}' -H 'Content-Type: application/json' \\\n    \
             -d '{{\"title\":\"Hello\"}}'\n"
        );
    }
    let collection = if shop { "orders" } else { "articles" };
    println!(
        "  grpcurl -plaintext -H 'authorization: Bearer {token}' -d '{{\"collection\":\"{collection}\"}}' \\\n    \
         {grpc} eventus.items.v1.ItemsService/ReadItems\n"
    );
    println!(
        "  nats --server '{nats_url}' sub 'items.create.>'\n\nCtrl-C stops everything; the data stay.\n"
    );
}
