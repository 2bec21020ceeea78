//! Who sequences which channel, when the settings or the nodes change.

use types::id::ChannelName;

use crate::fixture::Cluster;

#[tokio::test(start_paused = true)]
async fn channels_of_collections_have_a_sequencer_whatever_the_settings_say() {
    let mut cluster = Cluster::new();
    let term = cluster.started().await;
    let collection = cluster.create(&term, "books", 2).await;
    assert_eq!(collection.channels.len(), 2);
    term.end();
    // Fewer channels under another name, and a node that was never seen.
    (cluster.settings.channels, cluster.settings.channel_prefix) = (1, "u".to_owned());
    let term = cluster.lead(&[1]).await;
    term.data.assign_channels(&cluster.call()).await.expect("the node is there");
    let mut told = cluster.nodes[1].calls();
    told.sort();
    assert_eq!(told, ["assign t-elanus-dml_0", "assign t-elanus-dml_1", "assign u-elanus-dml_0"]);
    assert_eq!(cluster.create(&term, "new", 1).await.channels, [ChannelName::numbered("u", 0)]);
}
