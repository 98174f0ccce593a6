"""One package per image: wires the contract to an analyzer."""
