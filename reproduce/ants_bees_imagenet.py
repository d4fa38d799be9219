"""What ImageNet's weights give on 244 photographs of ants and bees, for those who can download them (45 MB).

    python reproduce/ants_bees_imagenet.py DATA [--seeds 5]

The same as finetuning.py with torchvision's resnet18 at 224 px. Nobody has run it here, where downloads are not
possible, so no figure of it stands anywhere in this project.
"""

import sys

import finetuning

if __name__ == "__main__":
    for way, fields in finetuning.WAYS.items():
        finetuning.WAYS[way] = {**fields, "model": "resnet18"} | (
            {} if fields["weights"] == "none" else {"weights": "imagenet"}
        )
    sys.argv += ["--size", "224", "--out", "runs/ants_bees_imagenet"]
    finetuning.main()
