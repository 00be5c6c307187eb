//! What nodes and workers meet through: links between edges and routers, worker threads.
