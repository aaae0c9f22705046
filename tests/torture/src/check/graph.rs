//! Circles in a directed graph, by Tarjan's algorithm without recursion: histories are long.

/// A graph of numbered nodes.
#[derive(Debug)]
pub struct Graph {
    arrows: Vec<Vec<usize>>,
}

/// What the walk knows of a node.
#[derive(Debug, Clone, Copy, Default)]
struct Node {
    /// When it was first met, from 1.
    met: usize,
    /// The first met node that is reached from it.
    low: usize,
    stacked: bool,
}

impl Graph {
    /// So many nodes, no arrow.
    pub fn new(nodes: usize) -> Self {
        Self { arrows: vec![Vec::new(); nodes] }
    }

    /// One comes before the other.
    pub fn arrow(&mut self, from: usize, to: usize) {
        if from != to {
            self.arrows[from].push(to);
        }
    }

    /// Sets of nodes of which each is reached from each other.
    pub fn circles(&self) -> Vec<Vec<usize>> {
        let mut nodes = vec![Node::default(); self.arrows.len()];
        let (mut stack, mut found, mut met) = (Vec::new(), Vec::new(), 0);
        for start in 0..self.arrows.len() {
            if nodes[start].met == 0 {
                self.walk(start, &mut nodes, &mut met, &mut stack, &mut found);
            }
        }
        found
    }

    fn walk(
        &self,
        start: usize,
        nodes: &mut [Node],
        met: &mut usize,
        stack: &mut Vec<usize>,
        found: &mut Vec<Vec<usize>>,
    ) {
        let mut way = vec![(start, 0)];
        while let Some((node, next)) = way.last_mut() {
            let node = *node;
            if *next == 0 {
                *met += 1;
                nodes[node] = Node { met: *met, low: *met, stacked: true };
                stack.push(node);
            }
            if let Some(to) = self.arrows[node].get(*next).copied() {
                *next += 1;
                if nodes[to].met == 0 {
                    way.push((to, 0));
                } else if nodes[to].stacked {
                    nodes[node].low = nodes[node].low.min(nodes[to].met);
                }
                continue;
            }
            way.pop();
            if let Some((above, _)) = way.last() {
                nodes[*above].low = nodes[*above].low.min(nodes[node].low);
            }
            if nodes[node].low == nodes[node].met {
                let from = stack.iter().rposition(|stacked| *stacked == node).unwrap_or(0);
                let circle = stack.split_off(from);
                circle.iter().for_each(|member| nodes[*member].stacked = false);
                if circle.len() > 1 {
                    found.push(circle);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Graph;

    #[test]
    fn circles_are_found() {
        let mut graph = Graph::new(6);
        for (from, to) in [(0, 1), (1, 2), (2, 0), (2, 3), (3, 4), (4, 5)] {
            graph.arrow(from, to);
        }
        let circles = graph.circles();
        assert_eq!(circles.len(), 1);
        let mut members = circles[0].clone();
        members.sort_unstable();
        assert_eq!(members, [0, 1, 2]);
        assert!(Graph::new(3).circles().is_empty());
    }
}
