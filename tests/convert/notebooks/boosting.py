"""Rows of a wine by boosted trees, as LightGBM's own classifier has them."""

import lightgbm as lgb
import numpy as np
from sklearn.datasets import load_wine
from sklearn.model_selection import train_test_split

wine = load_wine(as_frame=True)
X = wine.data[["alcohol", "malic_acid", "ash", "hue"]]
y = wine.target
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, random_state=1)
model = lgb.LGBMClassifier(n_estimators=20, num_leaves=7, random_state=0, n_jobs=1, verbose=-1)
model.fit(X_train, y_train)
print(model.predict_proba(X_test)[:3])
